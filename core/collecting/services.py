"""The services that the steps of collecting use."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from ..limits import Limits
from ..ports import IdGenerator
from .ports import Extensions, LossLedger, OutcomeCounter, ProjectRepository, RateLimiter, Salts


class Services(Protocol):
    """The services that a step may use beside its arguments. `Collect` offers them."""

    projects: ProjectRepository
    losses: LossLedger
    outcomes: OutcomeCounter
    extensions: Extensions
    salts: Salts
    rate_limiter: RateLimiter
    ids: IdGenerator
    limits: Limits
    reporting: Counter[str | None]
    """Loss reports that are being recorded, by address."""
