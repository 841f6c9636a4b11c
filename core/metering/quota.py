"""The value of a quota: what it counts, and its two limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import Invalid
from ..project import MOST_EVENTS, KeyKind, Scope, Window
from .patterns import ALL_NAMES, NamePattern

MOST_GRACE_DAYS = 27
"""A grace of 28 days could outlast February: hard would never hold."""


class BadQuota(Invalid):
    """A quota contradicts itself. `mistakes`: words, by field."""

    def __init__(self, mistakes: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {words}" for name, words in mistakes.items()))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaRule:
    """The rule of a quota, as a plan states it: it belongs to nobody yet. Raises `BadQuota` with all its mistakes."""

    window: Window
    keys: KeyKind | None = None
    """The kind of key whose events are counted; None: of both kinds."""
    events: NamePattern = ALL_NAMES
    """The names whose events are counted."""
    soft: int | None = None
    """Events in a window from which on the owner is told. Nothing is refused. None: there is no soft limit."""
    hard: int | None = None
    """The most events in a window. Further ones are refused. 0 refuses all; None refuses none."""
    grace: int = 0
    """Days (of 24 hours) after soft was crossed during which hard does not hold. 0: hard always holds."""

    def __post_init__(self) -> None:
        if mistakes := self._mistakes():
            raise BadQuota(mistakes)

    def _mistakes(self) -> dict[str, str]:
        mistakes: dict[str, str] = {}
        if self.soft is None and self.hard is None:
            mistakes["hard"] = "missing, and so is soft: a quota needs one of them"
        if self.soft is not None and not 1 <= self.soft <= MOST_EVENTS:
            mistakes["soft"] = f"{self.soft:,} events: 1 to {MOST_EVENTS:,}"
        if self.hard is not None and not 0 <= self.hard <= MOST_EVENTS:
            mistakes["hard"] = f"{self.hard:,} events: 0 to {MOST_EVENTS:,}"
        if not mistakes and self.soft is not None and self.hard is not None and self.soft > self.hard:
            mistakes["soft"] = f"{self.soft:,} events, above hard ({self.hard:,}): it would never be crossed"
        if not 0 <= self.grace <= MOST_GRACE_DAYS:
            mistakes["grace"] = f"{self.grace} days: 0 to {MOST_GRACE_DAYS}, so that hard can hold in every month"
        elif self.grace and (self.soft is None or self.hard is None):
            mistakes["grace"] = "it begins when soft is crossed and ends when hard holds: give both"
        elif self.grace and self.window is Window.DAY:
            mistakes["grace"] = "a day is over before it: hard would never hold; use the window month"
        return mistakes

    @property
    def identity(self) -> tuple[Window, KeyKind | None, NamePattern]:
        """The events that are counted. An owner has one quota of each identity; a change of limits keeps its usage."""
        return self.window, self.keys, self.events

    def given(self) -> dict[str, str | int]:
        """Return the rule as settings state it: only what is not left out."""
        rule = {"window": self.window, "keys": self.keys, "soft": self.soft, "hard": self.hard}
        more = {"events": None if self.events == ALL_NAMES else str(self.events), "grace": self.grace or None}
        return {name: value for name, value in {**rule, **more}.items() if value is not None}

    @property
    def counted(self) -> str:
        """The events that are counted, in words: ``events a month with browser keys``."""
        names = "" if self.events == ALL_NAMES else f" named {self.events}"
        keys = "" if self.keys is None else f" with {self.keys} keys"
        return f"events{names} a {self.window}{keys}"

    def counts(self, kind: KeyKind, name: str) -> bool:
        """Return True if an event with this kind of key and this name is counted."""
        return (self.keys is None or self.keys is kind) and self.events.matches(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota(QuotaRule):
    """A quota of an account or a project."""

    id: str
    """A UUID. It stays if the limits change."""
    scope: Scope
    scope_id: str
    """The account's or the project's id."""
    plan: str | None = None
    """The plan that it came from; None: a person set it."""

    @classmethod
    def of(cls, rule: QuotaRule, *, id: str, scope: Scope, scope_id: str, plan: str | None = None) -> Quota:
        """Return the quota that a rule becomes for its owner."""
        return cls(
            id=id, scope=scope, scope_id=scope_id, plan=plan, window=rule.window, keys=rule.keys, events=rule.events,
            soft=rule.soft, hard=rule.hard, grace=rule.grace,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class OverQuota:
    """The event sink's answer for an event over its quota, with the quota that it met. If several are used up, it is
    the one that ends last."""

    quota: Quota
