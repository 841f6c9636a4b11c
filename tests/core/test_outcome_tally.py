"""The tally of outcomes: bounded, and never counted twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from catchment.core.errors import CommitUnknown, Unavailable
from catchment.core.metering import outcomes
from catchment.core.metering.outcomes import OutcomeTally, RefusedOrigin, Slot
from catchment.core.outcomes import Outcome
from catchment.core.refusals import Reason

from ..support.events import NOON
from ..support.house import House, a_payload

pytestmark = pytest.mark.gen_test


class Ledger:
    """Notes what it is given, and fails as it is told."""

    def __init__(self) -> None:
        self.given: list[dict[Slot, int]] = []
        self.failures: list[Unavailable] = []

    async def add(self, counts: dict[Slot, int], origins: Sequence[RefusedOrigin]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.given.append(counts)


@pytest.fixture
def ledger(io_loop: object) -> Ledger:
    return Ledger()


def slot(project: str = "shop") -> Slot:
    return Slot(project, NOON, Outcome.FILTERED, Reason.BOT)


def count(tally: OutcomeTally, project: str = "shop", reason: str = Reason.BOT) -> None:
    tally.add(project, Outcome.FILTERED, reason, NOON + timedelta(minutes=59))


async def test_counts_are_written_once(ledger: Ledger) -> None:
    tally = OutcomeTally(ledger)  # type: ignore[arg-type]
    count(tally)
    count(tally)
    await tally.flush()
    await tally.flush()
    assert ledger.given == [{slot(): 2}]


async def test_what_the_database_did_not_take_is_written_later_with_what_came_since(ledger: Ledger) -> None:
    tally = OutcomeTally(ledger)  # type: ignore[arg-type]
    ledger.failures = [Unavailable("away")]
    count(tally)
    await tally.flush()
    count(tally)
    await tally.flush()
    assert ledger.given == [{slot(): 2}]


async def test_what_was_perhaps_written_is_not_written_twice(ledger: Ledger) -> None:
    tally = OutcomeTally(ledger)  # type: ignore[arg-type]
    ledger.failures = [CommitUnknown("no answer")]
    count(tally)
    await tally.flush()
    count(tally)
    await tally.flush()
    assert ledger.given == [{slot(): 1}]


async def test_an_outage_is_said_once(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    tally = OutcomeTally(ledger)  # type: ignore[arg-type]
    for _ in range(2):
        ledger.failures = [Unavailable("away")] * 3
        for _ in range(4):
            count(tally)
            await tally.flush()
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2


async def test_no_project_can_fill_the_memory(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    tally = OutcomeTally(ledger)  # type: ignore[arg-type]
    for n in range(outcomes._PROJECT_ENTRIES + 5):
        count(tally, reason=f"plugin:x:{n}")
    count(tally, "blog")
    await tally.flush()
    assert caplog.text.count("5 events have no count of their outcome") == 1
    assert len(ledger.given[0]) == outcomes._PROJECT_ENTRIES + 1
    count(tally, reason="plugin:x:new")  # there is room again
    await tally.flush()
    assert len(ledger.given[1]) == 1
    assert caplog.text.count("have no count") == 1


async def test_what_is_counted_while_it_is_written_is_kept(ledger: Ledger) -> None:
    tally = OutcomeTally(ledger)  # type: ignore[arg-type]
    given = ledger.add

    async def add(counts: dict[Slot, int], origins: Sequence[RefusedOrigin]) -> None:
        count(tally)
        await given(counts, origins)

    ledger.add = add  # type: ignore[method-assign]
    count(tally)
    await tally.flush()
    ledger.add = given  # type: ignore[method-assign]
    await tally.flush()
    assert ledger.given == [{slot(): 1}, {slot(): 1}]


@pytest.mark.parametrize(
    ("payload", "submission", "outcome", "reason"),
    [
        (a_payload(event_name=""), {}, Outcome.REFUSED, Reason.INVALID_EVENT),
        (a_payload(url="https://evil.example/"), {}, Outcome.REFUSED, Reason.ORIGIN_NOT_ALLOWED),
        (a_payload(), {"origin": "https://evil.example"}, Outcome.REFUSED, Reason.ORIGIN_NOT_ALLOWED),
    ],
)
async def test_a_refused_event_of_a_project_is_counted(
    house: House, payload: object, submission: dict[str, str], outcome: Outcome, reason: Reason
) -> None:
    await house.post(payload, payload, **submission)
    assert house.counted() == {(outcome, reason): 2}


async def test_what_a_store_counts_and_a_dry_run_are_not_counted_again(house: House) -> None:
    await house.receipt()
    await house.post(a_payload(event_name=""), dry_run=True)
    await house.post(a_payload(), key="pk_unknown")
    assert house.counted() == {}


async def test_a_revoked_key_and_a_disabled_project_are_counted_for_their_project(house: House) -> None:
    await house.change(enabled=False)
    await house.post(a_payload())
    assert house.counted() == {(Outcome.REFUSED, Reason.PROJECT_DISABLED): 1}


async def test_the_origin_that_was_refused_is_noted(house: House) -> None:
    await house.post(a_payload(url="https://evil.example/basket?card=1"))
    (origin,) = house.collect.outcomes._origins.values()  # type: ignore[attr-defined]
    assert origin.origin == "https://evil.example"
