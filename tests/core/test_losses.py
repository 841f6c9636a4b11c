"""Client losses: what is read of a report, who may report, and that it never costs an event."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catchment.adapters.memory.parts import NoRateLimit
from catchment.core.collecting.findings import Findings
from catchment.core.collecting.losses import KNOWN_REASONS, LossOutcome, LossReceipt, shown_reason
from catchment.core.collecting.record_losses import check_losses
from catchment.core.collecting.submission import Answer
from catchment.core.errors import Unavailable
from catchment.core.limits import Limits
from catchment.core.outcomes import Outcome, WarningCode
from catchment.core.project import DoNotTrack
from catchment.core.refusals import Reason

from ..support.house import House, a_payload, build_house

ORIGIN = "https://example.com"
LIMITS = Limits()


def a_report(report_id: object = "r-1", **counts: object) -> dict[str, object]:
    return {"id": report_id, "counts": counts or {"queue_full": 3}}


def warned(sent: object) -> list[tuple[str, str]]:
    return [(warning.code, warning.field) for warning in check_losses(sent, LIMITS)[1]]


# reading a report


def test_a_good_report_is_read_without_a_warning() -> None:
    report, warnings = check_losses(a_report("r-1", queue_full=1, my_own_word2=1_000_000), LIMITS)
    assert report is not None
    assert (report.id, dict(report.counts)) == ("r-1", {"queue_full": 1, "my_own_word2": 1_000_000})
    assert warnings == []


@pytest.mark.parametrize("reason", KNOWN_REASONS)
def test_the_known_reasons_are_ones_that_can_be_reported(reason: str) -> None:
    assert check_losses(a_report(**{reason: 1}), LIMITS)[0] is not None
    assert shown_reason(reason) == reason
    assert shown_reason(reason + "x") == "other"


@pytest.mark.parametrize("sent", ["x", 7, [], [{}], True])
def test_what_is_no_object_is_said(sent: object) -> None:
    assert check_losses(sent, LIMITS)[0] is None
    assert warned(sent) == [("wrong_type", "losses")]


@pytest.mark.parametrize("report_id", [None, 7, "", "  ", "x" * 65, "a\x00b", "\ud800", ["a"]])
def test_an_id_that_can_t_be_one_is_never_changed(report_id: object) -> None:
    assert check_losses(a_report(report_id), LIMITS)[0] is None
    assert warned(a_report(report_id)) == [("dropped", "losses.id")]


@pytest.mark.parametrize("counts", [None, 7, "queue_full", [1]])
def test_counts_that_are_none_are_said(counts: object) -> None:
    assert warned({"id": "r-1", "counts": counts}) == [("wrong_type", "losses.counts")]


@pytest.mark.parametrize(
    "reason",
    ["", "Queue", "queue-full", "queue full", "_a", "a_", "a__b", "1a", "a" * 33, "é", "a\n", "__proto__", "\x00"],
)
def test_a_reason_that_is_no_word_is_left_out_and_the_others_count(reason: str) -> None:
    report, warnings = check_losses(a_report(**{reason: 1, "expired": 2}), LIMITS)
    assert report is not None
    assert dict(report.counts) == {"expired": 2}
    assert [warning.code for warning in warnings] == [WarningCode.DROPPED]


@pytest.mark.parametrize("count", [0, -1, 1.0, 1.5, True, "3", None, [], float("inf"), -(10**30)])
def test_a_count_that_is_none_is_left_out_and_the_others_count(count: object) -> None:
    report, warnings = check_losses(a_report(queue_full=count, expired=2), LIMITS)
    assert report is not None
    assert dict(report.counts) == {"expired": 2}
    assert [(w.code, w.field) for w in warnings] == [(WarningCode.DROPPED, "losses.counts.queue_full")]


def test_a_count_beyond_the_limit_is_cut() -> None:
    report, warnings = check_losses(a_report(expired=10**30), LIMITS)
    assert report is not None
    assert dict(report.counts) == {"expired": 1_000_000}
    assert [w.code for w in warnings] == [WarningCode.CUT]


def test_a_report_has_at_most_ten_reasons_and_is_not_read_any_further() -> None:
    counts = {f"word{chr(97 + n % 26)}{n}": 1 for n in range(100_000)}
    report, warnings = check_losses(a_report(**counts), LIMITS)
    assert report is not None
    assert list(report.counts) == list(counts)[:10]
    assert [(w.code, w.field) for w in warnings] == [(WarningCode.DROPPED, "losses.counts")]


def test_a_report_in_which_nothing_counts_is_none() -> None:
    assert check_losses({"id": "r-1", "counts": {}}, LIMITS)[0] is None
    assert check_losses(a_report(expired=0), LIMITS)[0] is None


def test_what_a_warning_names_is_short_and_clean() -> None:
    (warning,) = check_losses({"id": "r", "counts": {"\x00" + "x" * 5000: 1, "expired": 1}}, LIMITS)[1]
    assert len(warning.field) <= 100
    assert "\x00" not in warning.field
    assert Findings(LIMITS).warnings == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda items: st.lists(items, max_size=5) | st.dictionaries(st.text(max_size=40), items, max_size=12),
    max_leaves=20,
)
_REPORTS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.text(max_size=70) | _JSON,
        "counts": st.dictionaries(st.sampled_from(KNOWN_REASONS) | st.text(max_size=40), _JSON, max_size=14) | _JSON,
    },
)


@given(sent=_JSON | _REPORTS)
@settings(max_examples=100)
def test_whatever_comes_is_a_report_within_the_limits_or_said_to_be_none(sent: object) -> None:
    report, warnings = check_losses(sent, LIMITS)
    assert len(warnings) <= LIMITS.warnings
    if report is None:
        assert warnings != []
        return
    assert 0 < len(report.id) <= LIMITS.loss_id
    report.id.encode()  # no half of a surrogate pair
    assert 0 < len(report.counts) <= LIMITS.loss_reasons
    for reason, count in report.counts.items():
        assert len(reason) <= LIMITS.loss_reason
        assert reason.isascii()
        assert 1 <= count <= LIMITS.loss_count


# taking it


async def take(house: House, *payloads: object, losses: object = None, **submission: Any) -> tuple[Answer, LossReceipt]:
    submission.setdefault("origin", ORIGIN)
    answer = await house.post(*payloads, losses=a_report() if losses is None else losses, **submission)
    assert answer.refusal is None, answer.refusal
    assert answer.losses is not None
    return answer, answer.losses


def lost(house: House) -> dict[str, int]:
    return {reason: events for (_, _, reason), events in house.store.losses.items()}


@pytest.mark.gen_test
async def test_a_request_without_a_report_says_nothing_of_losses() -> None:
    house = await build_house()
    assert (await house.post(a_payload())).losses is None


@pytest.mark.gen_test
async def test_a_report_is_recorded_beside_the_events_that_are_stored() -> None:
    house = await build_house()
    answer, losses = await take(house, a_payload())
    assert [receipt.outcome for receipt in answer.receipts] == [Outcome.STORED]
    assert (losses.outcome, dict(losses.counted)) == (LossOutcome.RECORDED, {"queue_full": 3})
    assert lost(house) == {"queue_full": 3}


@pytest.mark.gen_test
async def test_the_same_report_again_is_recorded_and_counted_once() -> None:
    house = await build_house()
    for _ in range(3):
        _, losses = await take(house, a_payload())
        assert losses.outcome is LossOutcome.RECORDED
    assert dict(losses.counted) == {}
    assert lost(house) == {"queue_full": 3}


@pytest.mark.gen_test
async def test_a_report_needs_no_event() -> None:
    house = await build_house()
    answer, losses = await take(house)
    assert (answer.receipts, losses.outcome) == ([], LossOutcome.RECORDED)


@pytest.mark.gen_test
async def test_a_report_comes_with_the_request_s_refusal_to_nothing() -> None:
    house = await build_house()
    for submission in ({"key": "pk_x"}, {"origin": "https://evil.example"}, {"origin": "null"}):
        answer = await house.post(a_payload(), losses=a_report(), **{"origin": ORIGIN, **submission})
        assert answer.refusal is not None
        assert answer.losses is None
    await house.change(enabled=False)
    assert (await house.post(a_payload(), losses=a_report(), origin=ORIGIN)).losses is None
    assert lost(house) == {}


@pytest.mark.gen_test
async def test_with_a_browser_key_somebody_vouches_for_a_report() -> None:
    house = await build_house()
    foreign = a_payload(url="https://evil.example/")
    for payloads in ((), (foreign,), (foreign, "nothing")):
        _, losses = await take(house, *payloads, origin=None)
        assert losses.outcome is LossOutcome.REFUSED
        assert [w.code for w in losses.warnings] == [WarningCode.NOT_ALLOWED]
    assert lost(house) == {}
    _, losses = await take(house, foreign, a_payload(), origin=None)
    assert losses.outcome is LossOutcome.RECORDED


@pytest.mark.gen_test
async def test_a_filtered_event_vouches_as_a_stored_one() -> None:
    house = await build_house()
    await house.change(do_not_track=DoNotTrack.FILTER)
    answer, losses = await take(house, a_payload(), origin=None, do_not_track=True)
    assert answer.receipts[0].outcome is Outcome.FILTERED
    assert losses.outcome is LossOutcome.RECORDED


@pytest.mark.gen_test
async def test_a_server_key_vouches_for_itself_and_its_ids_are_its_own() -> None:
    house = await build_house()
    await take(house, a_payload())
    _, losses = await take(house, key=house.server_key, origin=None)
    assert losses.outcome is LossOutcome.RECORDED
    assert lost(house) == {"queue_full": 6}


@pytest.mark.gen_test
async def test_a_dry_run_records_nothing() -> None:
    house = await build_house()
    _, losses = await take(house, a_payload(), dry_run=True)
    assert losses.outcome is LossOutcome.DRY_RUN
    assert lost(house) == {}


@pytest.mark.gen_test
@pytest.mark.parametrize("sent", ["x", {}, {"id": 7}, {"id": "r", "counts": {"Ü": 1}}], ids=str)
async def test_a_bad_report_costs_no_event(sent: object) -> None:
    house = await build_house()
    answer, losses = await take(house, a_payload(), a_payload(), losses=sent)
    assert [receipt.outcome for receipt in answer.receipts] == [Outcome.STORED] * 2
    assert losses.outcome is LossOutcome.REFUSED
    assert losses.warnings != []


class Breaks:
    """A ledger that fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def record(self, *_: object, **__: object) -> Any:
        raise self.error

    async def losses(self, *, project: str | None = None) -> Any:
        raise AssertionError


@pytest.mark.gen_test
@pytest.mark.parametrize("error", [Unavailable("away"), RuntimeError("a fault of ours")], ids=repr)
async def test_a_ledger_that_fails_changes_no_event_s_outcome(error: Exception) -> None:
    house = await build_house()
    house.collect.losses = Breaks(error)
    answer, losses = await take(house, a_payload(), a_payload(event_name=""))
    assert [receipt.outcome for receipt in answer.receipts] == [Outcome.STORED, Outcome.REFUSED]
    assert (losses.outcome, losses.error) == (LossOutcome.UNAVAILABLE, error)
    assert len(house.store.events) == 1


@pytest.mark.gen_test
async def test_events_that_are_not_stored_leave_the_report_for_the_next_time() -> None:
    house = await build_house()
    house.store.failing = Unavailable("away")
    answer = await house.post(a_payload(), losses=a_report(), origin=ORIGIN)
    assert answer.refusal is not None
    assert (answer.refusal.reason, answer.losses) == (Reason.UNAVAILABLE, None)
    house.store.failing = None
    assert (await take(house, a_payload()))[1].outcome is LossOutcome.RECORDED
    assert lost(house) == {"queue_full": 3}


@pytest.mark.gen_test
async def test_a_project_s_day_is_full_at_its_limit_and_the_next_one_is_not() -> None:
    house = await build_house(limits=Limits(loss_reports=2))
    found = [(await take(house, losses=a_report(f"r-{n}")))[1] for n in range(3)]
    assert [losses.outcome for losses in found] == [LossOutcome.RECORDED, LossOutcome.RECORDED, LossOutcome.REFUSED]
    assert [w.code for w in found[2].warnings] == [WarningCode.DROPPED]
    house.clock.advance(timedelta(days=1))
    assert (await take(house, losses=a_report("r-2")))[1].outcome is LossOutcome.RECORDED
    assert sum(house.store.losses.values()) == 9


@pytest.mark.gen_test
async def test_a_report_counts_for_the_rate_as_an_event_does() -> None:
    house = await build_house()
    asked: list[int] = []

    class Counts(NoRateLimit):
        def key_wait(self, key: bytes, events: int) -> int | None:
            asked.append(events)
            return None

    house.collect.rate_limiter = Counts()
    await take(house)
    await take(house, a_payload(), a_payload())
    assert asked == [1, 2]
