"""Quotas as data: patterns, the ladder, plans, and the states that are announced."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catchment.core.accounts.errors import NoSuchAccount
from catchment.core.metering.ladder import QuotaStateChange, State
from catchment.core.metering.patterns import NamePattern
from catchment.core.metering.ports import QuotaChange
from catchment.core.metering.quota import Quota
from catchment.core.outcomes import StoreOutcome
from catchment.core.project import KeyKind, Project, Scope, Window

from ..support.events import NOON, an_event, an_id, events
from ..support.storage import Storage

pytestmark = pytest.mark.gen_test

STORED, DUPLICATE, FULL = StoreOutcome.STORED, StoreOutcome.DUPLICATE, "quota_exceeded"


def a_quota(project: Project, *, pattern: str = "*", window: Window = Window.MONTH, **more: Any) -> Quota:
    return Quota(
        id=an_id(77), scope=Scope.PROJECT, scope_id=project.id, window=window, events=NamePattern.parse(pattern), **more
    )


async def announced(storage: Storage) -> Sequence[QuotaStateChange]:
    """Announce all that there is, and return it in order."""
    found: list[QuotaStateChange] = []
    while changes := await storage.quota_states.claim(10):
        for change in changes:
            await storage.quota_states.announced(change)
        found += changes
    return found


# patterns


@pytest.mark.parametrize(
    ("pattern", "counted"),
    [
        ("Click*", ["Click", "ClickBuy"]),
        ("*", ["Click", "ClickBuy", "click", "100%_\\", "Ä", "View*"]),
        ("click", ["click"]),
        ("*%_*", ["100%_\\"]),
        (r"*\\", ["100%_\\"]),
        (r"View\*", ["View*"]),
        ("Ä", ["Ä"]),
        ("*i*B*", ["ClickBuy"]),
    ],
)
async def test_a_quota_counts_the_names_of_its_pattern(storage: Storage, pattern: str, counted: list[str]) -> None:
    names = ["Click", "ClickBuy", "click", "100%_\\", "Ä", "View*"]
    await storage.limit(a_quota(storage.project, pattern=pattern, hard=len(counted)))
    sent = [an_event(storage.project, name, name=name) for name in names]
    assert await storage.store(*sent) == [STORED] * len(names)
    again = [an_event(storage.project, f"{name} again", name=name) for name in names]
    assert await storage.store(*again) == [FULL if name in counted else STORED for name in names]


@pytest.mark.parametrize("keys", [None, *KeyKind])
async def test_a_quota_with_a_pattern_that_is_set_late_counts_what_is_there(
    storage: Storage, keys: KeyKind | None
) -> None:
    for kind in KeyKind:
        for name in ("Click", "View"):
            await storage.store(*events(storage.project, 2, f"{kind}-{name}", name=name, key_kind=kind))
    quota = a_quota(storage.project, pattern="Cl*", keys=keys, hard=5)
    assert await storage.used(quota) == (4 if keys is None else 2)


async def test_each_quota_counts_its_own_names(storage: Storage) -> None:
    quotas = (
        a_quota(storage.project, pattern="Click*", hard=1),
        a_quota(storage.project, pattern="View", hard=2),
        a_quota(storage.project, hard=3),
    )
    names = ["Click", "Click", "View", "View", "Other", "View"]
    sent = [an_event(storage.project, str(n), name=name) for n, name in enumerate(names)]
    assert await storage.store(*sent, quotas=quotas) == [STORED, FULL, STORED, STORED, FULL, FULL]
    assert [use.used for use in await storage.quota_store.uses(NOON)] == [3, 1, 2]


# what an answer tells


async def test_an_answer_tells_what_is_left_of_the_quotas_that_count_its_events(storage: Storage) -> None:
    click, view = (a_quota(storage.project, pattern=name, hard=3) for name in ("Click", "View"))
    await storage.limit(click, view)
    stored = await storage.stored(*events(storage.project, 2, name="Click"))
    assert [(str(use.quota.events), use.used, use.left) for use in stored.uses] == [("Click", 2, 1)]
    stored = await storage.stored(*events(storage.project, 1, "other", name="Other"))
    assert list(stored.uses) == []
    both = [an_event(storage.project, name, name=name) for name in ("View", "Click")]
    stored = await storage.stored(*both)
    assert {(str(use.quota.events), use.left) for use in stored.uses} == {("Click", 0), ("View", 2)}
    stored = await storage.stored(an_event(storage.project, "more", name="Click"))
    assert [use.left for use in stored.uses] == [0]


# the ladder


async def test_a_soft_limit_refuses_nothing(storage: Storage) -> None:
    await storage.limit(a_quota(storage.project, soft=2))
    stored = await storage.stored(*events(storage.project, 5))
    assert stored.outcomes == [STORED] * 5
    (use,) = stored.uses
    assert (use.left, use.state(NOON), use.soft_crossed) == (None, State.SOFT, NOON)


async def test_hard_does_not_hold_while_the_grace_runs(storage: Storage) -> None:
    await storage.limit(a_quota(storage.project, soft=2, hard=3, grace=2))
    assert await storage.store(*events(storage.project, 9)) == [STORED] * 9
    arrivals = [timedelta(days=2) - timedelta(microseconds=1), timedelta(days=2), timedelta(days=5)]
    sent = [an_event(storage.project, f"later {n}", received_at=NOON + off) for n, off in enumerate(arrivals)]
    assert await storage.store(*sent) == [STORED, FULL, FULL]


async def test_a_grace_begins_with_the_event_that_crosses_soft(storage: Storage) -> None:
    await storage.limit(a_quota(storage.project, soft=3, hard=5, grace=1))
    await storage.store(*events(storage.project, 2))
    later = NOON + timedelta(days=3)
    sent = [an_event(storage.project, str(n), received_at=later + timedelta(minutes=n)) for n in range(3)]
    stored = await storage.stored(*sent)
    assert stored.outcomes == [STORED] * 3
    assert [use.soft_crossed for use in stored.uses] == [later]


# states


async def test_each_state_is_entered_once_in_order(storage: Storage) -> None:
    await storage.limit(a_quota(storage.project, soft=5, hard=8))
    for n in range(10):
        await storage.store(an_event(storage.project, str(n)))
    found = await announced(storage)
    assert [(change.state, change.used) for change in found] == [("warning", 4), ("soft", 5), ("hard", 8)]
    (change, *_) = found
    assert (change.account, change.project, change.project_id) == ("acme", "shop", storage.project.id)
    assert (change.entered_at, change.resets_at) == (NOON, datetime(2026, 12, 1, tzinfo=UTC))
    assert change.id == f"{change.quota.id}/2026-11-01/warning"
    await storage.store(an_event(storage.project, "over"))
    assert await announced(storage) == []


async def test_states_that_were_skipped_are_entered_too(storage: Storage) -> None:
    await storage.limit(a_quota(storage.project, soft=3, hard=4))
    await storage.store(*events(storage.project, 9))
    assert [change.state for change in await announced(storage)] == ["warning", "soft", "hard"]


async def test_a_new_window_enters_its_states_anew(storage: Storage) -> None:
    await storage.limit(a_quota(storage.project, hard=1, window=Window.DAY))
    for day in range(2):
        for n in range(2):
            await storage.store(an_event(storage.project, f"{day}-{n}", received_at=NOON + timedelta(days=day)))
    found = [(str(change.starts), change.state) for change in await announced(storage)]
    assert found == [
        ("2026-11-02", "warning"),
        ("2026-11-02", "hard"),
        ("2026-11-03", "warning"),
        ("2026-11-03", "hard"),
    ]


async def test_hard_follows_grace_with_the_first_event_that_it_refuses(storage: Storage) -> None:
    await storage.limit(a_quota(storage.project, soft=1, hard=2, grace=1))
    await storage.store(*events(storage.project, 3))
    late = an_event(storage.project, "late", received_at=NOON + timedelta(days=1))
    assert await storage.store(late) == [FULL]
    assert [change.state for change in await announced(storage)] == ["warning", "soft", "grace", "hard"]


async def test_an_accounts_states_name_no_project(storage: Storage) -> None:
    quota = Quota(id=an_id(7), scope=Scope.ACCOUNT, scope_id=storage.project.account_id, window=Window.MONTH, soft=1)
    await storage.limit(quota)
    await storage.store(an_event(storage.project, "one"))
    changes = await announced(storage)
    assert [(change.state, change.account, change.project) for change in changes] == [
        ("warning", "acme", None),
        ("soft", "acme", None),
    ]


async def test_a_change_that_was_claimed_is_nobody_elses_for_a_while(storage: Storage) -> None:
    await storage.limit(a_quota(storage.project, hard=1))
    await storage.store(an_event(storage.project, "one"))
    (first,) = await storage.quota_states.claim(10)
    assert await storage.quota_states.claim(10) == []  # nor is the one after it
    await storage.quota_states.announced(first)
    (second,) = await storage.quota_states.claim(10)
    assert (first.state, second.state) == ("warning", "hard")


# changes


async def test_new_limits_keep_what_is_used(storage: Storage) -> None:
    await storage.limit(a_quota(storage.project, hard=2))
    assert await storage.store(*events(storage.project, 3)) == [STORED, STORED, FULL]
    await storage.limit(a_quota(storage.project, hard=4))
    assert await storage.store(*events(storage.project, 3, "more")) == [STORED, STORED, FULL]
    await storage.limit(a_quota(storage.project, hard=3))
    assert await storage.store(*events(storage.project, 1, "last")) == [FULL]
    await storage.limit(a_quota(storage.project, soft=3))
    assert await storage.store(*events(storage.project, 1, "last")) == [STORED]


async def test_a_quota_that_is_removed_limits_nothing(storage: Storage) -> None:
    await storage.limit(a_quota(storage.project, hard=0))
    assert await storage.store(an_event(storage.project, "one")) == [FULL]
    await storage.limit()
    assert await storage.store(an_event(storage.project, "one")) == [STORED]
    assert list((await storage.stored(an_event(storage.project, "two"))).uses) == []


async def test_a_quota_says_what_it_was_given(storage: Storage) -> None:
    quota = a_quota(storage.project, pattern=r"a*\*_%", soft=2, hard=3, grace=27, keys=KeyKind.SERVER)
    assert await storage.quota_store.set(quota) == quota
    assert await storage.quota_store.all() == [quota]
    assert [use.quota for use in await storage.quota_store.uses(NOON)] == [quota]


# plans


async def test_a_plan_is_given_at_once(storage: Storage) -> None:
    await storage.store(*events(storage.project, 2, name="ClickBuy"))
    given = await storage.quotas.set_plan("acme", "free")
    assert (given.plan, len(given.changes.add)) == ("free", 1)
    assert await storage.store(*events(storage.project, 2, "more")) == [STORED, FULL]
    await storage.quotas.set_plan("acme", "pro")
    (account,) = await storage.administer.accounts()
    assert account.plan == "pro"
    assert {(quota.hard, quota.plan) for quota in await storage.quota_store.all()} == {(5, "pro"), (2, "pro")}
    sent = [an_event(storage.project, name, name=name) for name in ("ClickBuy", "View", "Other", "More")]
    assert await storage.store(*sent) == [FULL, STORED, STORED, FULL]
    await storage.quotas.set_plan("acme", None)
    assert await storage.quota_store.all() == []
    assert (await storage.administer.accounts())[0].plan is None


async def test_an_account_that_is_gone_gets_no_plan(storage: Storage) -> None:
    with pytest.raises(NoSuchAccount):
        await storage.quota_store.set_plan(an_id(99), "free", lambda has: QuotaChange())


async def test_rates_count_the_last_seven_days(storage: Storage) -> None:
    hour = timedelta(hours=1)
    for days in (0, 6, 8):
        at = NOON - timedelta(days=days) - hour
        await storage.store(*events(storage.project, 1, f"{days}", received_at=at, name="Click"))
        await storage.store(*events(storage.project, 1, f"{days}-other", received_at=at))
    await storage.limit(
        a_quota(storage.project, hard=9),
        a_quota(storage.project, hard=9, pattern="C*"),
        a_quota(storage.project, soft=9, window=Window.DAY),
    )
    assert sorted((await storage.quota_store.rates(NOON)).values()) == [2, 4]
