"""Usage: the number of stored events, by account, project and billing period."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date

from ..times import period_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The number of stored events of one project in one billing period."""

    account_id: str
    account: str
    project_id: str
    project: str
    period: date
    """The first day of the month, UTC."""
    events: int
    closed: bool = False
    """The period is over and its number is final."""
    demo: bool = False
    """The account is a demo's. It is never billed."""
    deleted: bool = False
    """The project was deleted. Its usage is still billed."""

    @property
    def idempotency_key(self) -> str:
        """The same for the same account, project and period. A backend that knows it replaces the usage, and never
        adds. At most 100 characters of ``0-9 a-z : -``."""
        return f"{self.account_id}:{self.project_id}:{period_text(self.period)}"

    def __repr__(self) -> str:
        shown = {one.name: getattr(self, one.name) for one in fields(self)} | {"idempotency_key": self.idempotency_key}
        return f"Usage({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A project and period whose usage differs from the number of its stored rows."""

    account: str
    project: str
    project_id: str
    period: date
    usage: int
    stored: int
