"""Plans: sets of quotas with a name, from the settings.

::

    [[plans.pro.quotas]]
    window = "month"
    soft = 80_000
    hard = 100_000
    grace = 3

    [[plans.pro.quotas]]
    window = "day"
    events = "Click*"
    keys = "browser"
    hard = 10_000

A plan's quotas are of the account. A quota that a person set stays: it is never changed or removed by a plan, and if it
counts the same events as one of the plan, it stands in that one's place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeVar

from ..errors import Invalid, Misconfigured, NotFound
from ..plain import plain
from ..project import KeyKind, Scope, Window
from .patterns import ALL_NAMES, NamePattern
from .quota import BadQuota, Quota, QuotaRule

MOST_QUOTAS = 20
"""Quotas of a plan. A stored event is compared with each of them."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_FIELDS = ("window", "keys", "events", "soft", "hard", "grace")
_Choice = TypeVar("_Choice", bound=StrEnum)


class NoSuchPlan(NotFound):
    """The settings have no plan of this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        there_are = f"there are {', '.join(known)}" if known else "the settings have none (section plans)"
        super().__init__(f"there is no plan {plain(name)!r}: {there_are}")
        self.name = name
        self.known = tuple(known)


class BadPlans(Misconfigured):
    """The settings' section ``plans`` is bad. `mistakes`: words, by the path, such as ``plans.pro.quotas[0].soft``."""

    def __init__(self, mistakes: Mapping[str, str]) -> None:
        super().__init__("\n".join(f"{path}: {words}" for path, words in mistakes.items()))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A set of quotas with a name. None of them counts the same events as another."""

    name: str
    quotas: tuple[QuotaRule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChanges:
    """The difference between the quotas that an account has and those that its plan wants."""

    add: tuple[QuotaRule, ...] = ()
    """Rules for which the account has no quota."""
    change: tuple[Quota, ...] = ()
    """Quotas of the account as they have to be. Each keeps its id and its usage."""
    remove: tuple[Quota, ...] = ()
    """Quotas of an earlier plan, or of an earlier version of this plan."""
    replaced: tuple[Quota, ...] = ()
    """Quotas that a person set, each in the place of one of the plan. To be told to whoever changes the plan."""


def find_plan(plans: Mapping[str, Plan], name: str) -> Plan:
    """Return the plan of a name. Raises `NoSuchPlan`."""
    if name not in plans:
        raise NoSuchPlan(name, sorted(plans))
    return plans[name]


def plan_changes(plan: Plan | None, has: Sequence[Quota], *, account_id: str) -> PlanChanges:
    """Return what has to change so that the account has the quotas of this plan; None: it has no plan any more.

    `has`: all quotas of the account. Raises `Invalid` if one belongs to somebody else.
    """
    for quota in has:
        if (quota.scope, quota.scope_id) != (Scope.ACCOUNT, account_id):
            raise Invalid(f"quota {quota.id} is of the {quota.scope} {quota.scope_id}, not of the account {account_id}")
    by_hand = {quota.identity: quota for quota in has if quota.plan is None}
    planned = {quota.identity: quota for quota in has if quota.plan is not None}
    add: list[QuotaRule] = []
    change: list[Quota] = []
    replaced: list[Quota] = []
    for rule in plan.quotas if plan is not None else ():
        if rule.identity in by_hand:
            replaced.append(by_hand[rule.identity])
        elif (old := planned.pop(rule.identity, None)) is None:
            add.append(rule)
        else:
            new = Quota.of(rule, id=old.id, scope=old.scope, scope_id=old.scope_id, plan=plan.name if plan else None)
            if new != old:
                change.append(new)
    return PlanChanges(add=tuple(add), change=tuple(change), remove=tuple(planned.values()), replaced=tuple(replaced))


def read_plans(section: Mapping[str, object]) -> dict[str, Plan]:
    """Return the plans of the settings' section ``plans``, by name. Raises `BadPlans` with all mistakes."""
    mistakes: dict[str, str] = {}
    plans = {}
    for name, table in section.items():
        path = f"plans.{plain(name)}"
        if not _NAME.fullmatch(name):
            mistakes[path] = "a name of 1 to 64 letters (A-Z, a-z), digits, and _ . - after the first"
        elif not isinstance(table, Mapping):
            mistakes[path] = f"expected a section with the key quotas, not {_type_name(table)}"
        else:
            plans[name] = Plan(name=name, quotas=_read_quotas(path, table, mistakes))
    if mistakes:
        raise BadPlans(mistakes)
    return plans


def _read_quotas(path: str, table: Mapping[str, object], mistakes: dict[str, str]) -> tuple[QuotaRule, ...]:
    for key in table:
        if key != "quotas":
            mistakes[f"{path}.{plain(key)}"] = "unknown; a plan has the key quotas alone"
    given = table.get("quotas")
    if not isinstance(given, list):
        words = "missing; [] is a plan without limits" if given is None else f"expected a list, not {_type_name(given)}"
        mistakes[f"{path}.quotas"] = words
        return ()
    if len(given) > MOST_QUOTAS:
        mistakes[f"{path}.quotas"] = f"{len(given)} quotas: at most {MOST_QUOTAS}"
        return ()
    rules: dict[object, tuple[int, QuotaRule]] = {}
    for number, one in enumerate(given):
        place = f"{path}.quotas[{number}]"
        rule = _read_rule(place, one, mistakes)
        if rule is None:
            continue
        earlier, _ = rules.setdefault(rule.identity, (number, rule))
        if earlier != number:
            mistakes[place] = f"it counts the same events as quotas[{earlier}]: window, keys and events are equal"
    return tuple(rule for _, rule in rules.values())


def _read_rule(place: str, given: object, mistakes: dict[str, str]) -> QuotaRule | None:
    if not isinstance(given, Mapping):
        mistakes[place] = f"expected a table with window and hard or soft, not {_type_name(given)}"
        return None
    before = len(mistakes)
    for key in given:
        if key not in _FIELDS:
            close = get_close_matches(str(key), _FIELDS, n=1)
            mistakes[f"{place}.{plain(str(key))}"] = f"unknown; {f'is {close[0]} meant?' if close else _KNOWN_KEYS}"
    window = _choice(place, "window", given.get("window"), Window, mistakes)
    if "window" not in given:
        mistakes[f"{place}.window"] = "missing: month or day"
    keys = _choice(place, "keys", given.get("keys"), KeyKind, mistakes)
    events = _pattern(place, given.get("events"), mistakes)
    soft, hard, grace = (_number(place, key, given.get(key), mistakes) for key in ("soft", "hard", "grace"))
    if len(mistakes) > before or window is None:
        return None
    try:
        return QuotaRule(window=window, keys=keys, events=events, soft=soft, hard=hard, grace=grace or 0)
    except BadQuota as error:
        mistakes.update({f"{place}.{key}": words for key, words in error.mistakes.items()})
        return None


_KNOWN_KEYS = f"a quota has the keys {', '.join(_FIELDS)}"


def _choice(
    place: str, key: str, given: object, choices: type[_Choice], mistakes: dict[str, str]
) -> _Choice | None:  # fmt: skip
    if given is None:
        return None
    found = next((one for one in choices if one.value == given), None)
    if found is None:
        mistakes[f"{place}.{key}"] = f"{_shown(given)}: {' or '.join(choices)}"
    return found


def _pattern(place: str, given: object, mistakes: dict[str, str]) -> NamePattern:
    if given is None:
        return ALL_NAMES
    try:
        if isinstance(given, str):
            return NamePattern.parse(given)
        mistakes[f"{place}.events"] = f'expected a pattern of event names, such as "Click*", not {_type_name(given)}'
    except Invalid as error:
        mistakes[f"{place}.events"] = str(error)
    return ALL_NAMES


def _number(place: str, key: str, given: object, mistakes: dict[str, str]) -> int | None:
    # A bool is an int in Python, and true is no number of events.
    if given is None or (isinstance(given, int) and not isinstance(given, bool)):
        return given
    mistakes[f"{place}.{key}"] = f"{_shown(given)}: expected a whole number"
    return None


def _shown(given: object) -> str:
    text = plain(repr(given))
    return text if len(text) <= 50 else f"{text[:50]}…"


def _type_name(given: object) -> str:
    names = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return names.get(type(given), type(given).__name__)
