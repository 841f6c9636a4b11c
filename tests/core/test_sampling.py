"""Samples of refused and filtered events: which are taken, how few, and from whom."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from catchment.adapters.memory.parts import CountingIds, ToldClock
from catchment.adapters.memory.samples import MemorySamples
from catchment.adapters.memory.store import Store
from catchment.core.collecting.submission import Submission, Unreadable
from catchment.core.errors import CommitUnknown, Unavailable
from catchment.core.keys import fingerprint, sign_id
from catchment.core.metering import sampling
from catchment.core.metering.hints import Advice
from catchment.core.metering.inbox import KEPT_SAMPLES, Obstacle, Sample
from catchment.core.metering.make_sample import make_sample
from catchment.core.metering.quota import QuotaRule
from catchment.core.metering.sampling import Bounds, InboxSampler
from catchment.core.metering.scrub import SAMPLE_BYTES, Replay
from catchment.core.outcomes import Filtered, Outcome
from catchment.core.project import Access, Bots, DoNotTrack, KeyKind, Project, Window
from catchment.core.refusals import Reason, Refusal

from ..support.house import FullBuckets, House, a_payload

pytestmark = pytest.mark.gen_test

ELSEWHERE = "https://www.example.com"


async def samples_of(house: House) -> list[Sample]:
    """Write what was sampled, and return the samples of the inbox, oldest first."""
    await house.collect.sampler.flush()  # type: ignore[attr-defined]
    return sorted(house.store.samples.values(), key=lambda one: one.received_at)


async def sample_of(house: House) -> Sample:
    (sample,) = await samples_of(house)
    return sample


# Which are taken


async def test_a_stored_event_leaves_no_sample(house: House) -> None:
    await house.post(a_payload(), a_payload(eventId="e"))
    await house.post(a_payload(eventId="e"))
    assert await samples_of(house) == []


async def test_a_refused_origin_leaves_a_sample_with_a_hint(house: House) -> None:
    await house.post(a_payload(url=f"{ELSEWHERE}/a?b=c", userId="7", eventId="e"), origin=ELSEWHERE)
    sample = await sample_of(house)
    assert (sample.outcome, sample.reason) == (Outcome.REFUSED, Reason.ORIGIN_NOT_ALLOWED)
    assert (sample.hint.advice, sample.hint.about) == (Advice.ADD_ORIGIN, ELSEWHERE)
    assert sample.payload == {
        "event_name": "SignUp",
        "url": f"{ELSEWHERE}/a?[query]",
        "userId": "[user]",
        "eventId": "e",
    }
    assert sample.taken == {"url": ("query",), "userId": ("user",)}
    assert (sample.replay, sample.obstacle, sample.event_id) == (Replay.REDUCED, None, "e")
    assert sample.key_fingerprint == fingerprint(house.browser_key)
    assert (sample.origin, sample.headers) == (ELSEWHERE, {"user_agent": "Mozilla/5.0"})
    assert sample.received_at == house.clock.now()


async def test_an_event_that_its_url_refuses_leaves_a_sample(house: House) -> None:
    await house.post(a_payload(), a_payload(url=f"{ELSEWHERE}/"))
    sample = await sample_of(house)
    assert (sample.reason, sample.hint.about) == (Reason.ORIGIN_NOT_ALLOWED, ELSEWHERE)


async def test_an_event_of_a_robot_leaves_a_sample(house: House) -> None:
    await house.change(bots=Bots.FILTER)
    house.plugins.verdict = Filtered(Reason.BOT)
    await house.post(a_payload())
    sample = await sample_of(house)
    assert (sample.outcome, sample.reason, sample.hint.advice) == (Outcome.FILTERED, Reason.BOT, Advice.KEEP_BOTS)


async def test_of_a_visitor_who_is_not_to_be_tracked_only_the_name_is_kept(house: House) -> None:
    await house.change(do_not_track=DoNotTrack.FILTER)
    await house.post(a_payload(sessionId="s", page_title="A"), do_not_track=True)
    sample = await sample_of(house)
    assert sample.payload == {"event_name": "SignUp"}
    assert (sample.headers, sample.obstacle, sample.event_id) == ({}, Obstacle.NOT_TRACKED, None)


async def test_of_such_a_visitor_nothing_else_is_kept_for_another_reason_either(house: House) -> None:
    await house.change(do_not_track=DoNotTrack.FILTER)
    await house.post(a_payload(sessionId="s"), do_not_track=True, origin=ELSEWHERE)
    sample = await sample_of(house)
    assert (sample.reason, sample.hint.about) == (Reason.ORIGIN_NOT_ALLOWED, ELSEWHERE)
    assert (sample.payload, sample.headers, sample.obstacle) == ({"event_name": "SignUp"}, {}, Obstacle.NOT_TRACKED)


async def test_an_event_over_its_quota_leaves_a_sample_as_it_would_have_been_stored(house: House) -> None:
    await house.quotas.set(QuotaRule(window=Window.MONTH, hard=1), project="shop")
    await house.post(a_payload(), a_payload(eventId="b", event_data={"value": 3, "plan": "pro"}), sent_at=None)
    sample = await sample_of(house)
    assert (sample.reason, sample.replay, sample.event_id) == (Reason.QUOTA_EXCEEDED, Replay.WHOLE, "b")
    assert sample.payload["event_data"] == {"value": 3, "plan": "pro"}
    assert sample.payload["timestamp"] == house.clock.now().isoformat()
    assert sample.hint.wait is not None


async def test_a_line_that_is_no_json_leaves_a_sample_without_an_event(house: House) -> None:
    await house.post(Unreadable(Refusal(reason=Reason.INVALID_JSON)), a_payload())
    sample = await sample_of(house)
    assert (sample.payload, sample.obstacle, sample.name) == (None, Obstacle.UNREADABLE, None)


async def test_a_signature_is_not_kept_and_its_event_can_not_be_sent_again(house: House) -> None:
    signature = sign_id("e", fingerprint(house.server_key))
    await house.post(a_payload(eventId="e", url=f"{ELSEWHERE}/"), id_signature=signature)
    sample = await sample_of(house)
    assert sample.obstacle is Obstacle.SIGNED
    assert signature not in repr(sample)


async def test_a_key_that_is_revoked_can_not_be_used_again(house: House) -> None:
    (key, _) = await house.administer.keys(house.project.id)
    await house.administer.revoke_key(key.id)
    await house.post(a_payload())
    assert (await sample_of(house)).obstacle is Obstacle.KEY_REVOKED


async def test_an_event_whose_origin_is_not_kept_can_not_be_sent_again(house: House) -> None:
    await house.post(a_payload(), origin="https://81.2.69.142")
    sample = await sample_of(house)
    assert (sample.origin, sample.obstacle) == ("https://[ip]", Obstacle.PARTS_MISSING)


async def test_a_wrong_event_is_not_for_sending_again(house: House) -> None:
    await house.post(a_payload(event_name=""))
    sample = await sample_of(house)
    assert (sample.reason, sample.obstacle) == (Reason.INVALID_EVENT, Obstacle.WRONG)
    assert sample.hint.mistakes is not None
    assert list(sample.hint.mistakes) == ["event_name"]


async def test_events_that_come_too_fast_leave_samples(house: House) -> None:
    house.collect.rate_limiter = FullBuckets(3)
    await house.post(a_payload(), a_payload())
    assert [one.reason for one in await samples_of(house)] == [Reason.RATE_LIMITED] * 2


async def test_a_key_whose_rate_is_used_up_after_the_checks_leaves_samples(house: House) -> None:
    class Empty(FullBuckets):
        def key_wait(self, key: bytes, events: int) -> int | None:
            return None

        def take_key(self, key: bytes, events: int) -> int | None:
            return self.seconds

    house.collect.rate_limiter = Empty(3)
    await house.post(a_payload(eventId="e"))
    sample = await sample_of(house)
    assert (sample.reason, sample.event_id, sample.hint.wait) == (Reason.RATE_LIMITED, "e", 3)


@pytest.mark.parametrize(
    "submission", [{"dry_run": True}, {"key": "pk_unknown"}, {"key": None}], ids=["dry run", "unknown key", "no key"]
)
async def test_a_request_of_no_project_and_a_dry_run_leave_no_sample(house: House, submission: dict[str, Any]) -> None:
    await house.post(a_payload(event_name=""), **submission)
    assert await samples_of(house) == []


async def test_an_outage_leaves_no_sample(house: House) -> None:
    await house.post(a_payload())
    house.store.failing = Unavailable("away")
    await house.post(a_payload())
    house.store.failing = None
    assert await samples_of(house) == []


async def test_a_back_end_s_connection_is_in_no_sample(house: House) -> None:
    await house.post(a_payload(event_name=""), key=house.server_key, origin=ELSEWHERE, do_not_track=True)
    sample = await sample_of(house)
    assert (sample.key_kind, sample.origin, sample.headers, sample.do_not_track) == (KeyKind.SERVER, None, {}, False)


async def test_a_sample_says_nothing_of_the_address_the_key_or_the_person(house: House) -> None:
    await house.post(
        a_payload(
            url=f"{ELSEWHERE}/a@b.example?token=s3cr3tt0k3n",
            userId="person-77",
            projectKey=house.browser_key,
            event_data={"a@b.example": ["4111 1111 1111 1111", {"deep": "Bearer s3cr3tt0k3n"}], "ip": "81.2.69.142"},
        ),
        origin=f"{ELSEWHERE}/?token=s3cr3tt0k3n",
        headers={"user_agent": "Mozilla/5.0 (a@b.example; 81.2.69.142)", "language": "a@b.example"},
    )
    shown = repr(await sample_of(house))
    for secret in ("81.2.69", "a@b.example", "s3cr3tt0k3n", "person-77", house.browser_key, "4111"):
        assert secret not in shown


async def test_the_largest_event_leaves_a_small_sample(house: House) -> None:
    huge = {f"key {n}": [{"x" * 99: "y" * 2_000} for _ in range(99)] for n in range(50)}
    await house.post(
        a_payload(url=f"{ELSEWHERE}/{'p' * 2_000}", event_data=huge),
        origin="https://" + "o" * 5_000,
        headers={"user_agent": "a" * 1_025},
    )
    sample = await sample_of(house)
    assert len(json.dumps(sample.payload, ensure_ascii=False).encode()) <= SAMPLE_BYTES
    assert sample.obstacle is Obstacle.PARTS_MISSING
    assert len(sample.origin or "") + sum(map(len, sample.headers.values())) < 600


# How few, and from whom


class Flood:
    """Refused events of a few projects and addresses, and the samples that one worker takes of them."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.clock = ToldClock()
        self.store = Store()
        self.failures: list[Unavailable] = []
        self.sampler = InboxSampler(self, self.clock, CountingIds(), bounds or Bounds())  # type: ignore[arg-type]
        self.projects: dict[str, Project] = {}
        self.inbox = MemorySamples(self.store)
        self.seconds = 0

    async def add(self, samples: Sequence[Sample]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        await self.inbox.add(samples)

    def send(
        self,
        project: str = "shop",
        address: str | None = "81.2.69.142",
        reason: Reason = Reason.ORIGIN_NOT_ALLOWED,
        kind: KeyKind = KeyKind.BROWSER,
        **access: Any,
    ) -> bool:
        known = Project(id=project, account_id="a", account="acme", name=project)
        self.store.projects[project] = known
        submission = Submission(
            payloads=[], key="k", address=address, received_at=self.clock.now(), deadline=self.clock.monotonic() + 5
        )
        return self.sampler.offer(
            submission, Access(project=known, kind=kind, **access), {"event_name": "A"}, Refusal(reason=reason), "e"
        )

    def later(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    async def written(self) -> list[Sample]:
        await self.sampler.flush()
        return list(self.store.samples.values())


@pytest.fixture
def flood(io_loop: object) -> Flood:
    return Flood()


async def test_one_address_gets_few_samples_and_later_one_a_minute(flood: Flood) -> None:
    assert sum(flood.send() for _ in range(1_000)) == Bounds().sender_samples
    flood.later(59)
    assert not flood.send()
    flood.later(2)
    assert flood.send()
    assert not flood.send()


async def test_one_network_is_one_sender(flood: Flood) -> None:
    taken = sum(flood.send(address=f"2001:db8:7:{n:x}::1") for n in range(1_000))
    assert taken == Bounds().sender_samples


async def test_a_flood_from_one_address_leaves_room_for_the_samples_of_others(flood: Flood) -> None:
    for _ in range(1_000):
        flood.send()
    assert flood.send(address="192.0.2.1")


async def test_one_address_can_not_take_the_samples_of_all_projects(flood: Flood) -> None:
    assert sum(flood.send(project=f"p{n}") for n in range(500)) == Bounds().sender_samples
    assert flood.send(project="p7", address="192.0.2.1")


async def test_a_flooded_project_leaves_room_for_the_others(flood: Flood) -> None:
    reasons = [Reason.ORIGIN_NOT_ALLOWED, Reason.TOO_LARGE, Reason.PROJECT_DISABLED, Reason.QUOTA_EXCEEDED]
    for n in range(250):
        for reason in reasons:
            flood.send(project="flooded", address=f"192.0.{n}.1", reason=reason)
    assert sum(flood.send(project="quiet", address=f"198.51.{n}.1") for n in range(10)) == 10


async def test_a_fault_of_the_sampler_changes_no_answer(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: Any) -> Sample:
        raise RuntimeError("a@b.example")

    monkeypatch.setattr(sampling, "make_sample", fail)
    assert (await house.receipt(a_payload(event_name=""))).reason == Reason.INVALID_EVENT
    assert caplog.messages == ["an event was not sampled: RuntimeError"]


async def test_an_event_that_takes_long_to_sample_counts_as_several(
    flood: Flood, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make_slowly(*arguments: Any) -> Sample:
        flood.later(5 * Bounds().make_seconds)
        return make_sample(*arguments)

    monkeypatch.setattr(sampling, "make_sample", make_slowly)
    assert sum(flood.send() for _ in range(100)) == Bounds().sender_samples / 5
    assert flood.send(address="192.0.2.1")


async def test_a_back_end_is_not_one_address(flood: Flood) -> None:
    taken = sum(flood.send(kind=KeyKind.SERVER) for _ in range(100))
    assert taken == Bounds().reason_samples


async def test_a_server_key_that_was_revoked_may_be_anybody_s(flood: Flood) -> None:
    taken = sum(flood.send(kind=KeyKind.SERVER, revoked=True, reason=Reason.REVOKED_KEY) for _ in range(100))
    assert taken == Bounds().sender_samples


async def test_a_flood_does_not_push_out_the_samples_that_are_there(flood: Flood) -> None:
    for n in range(5):
        flood.send(address=f"192.0.{n}.1")
    good = {sample.id for sample in await flood.written()}
    for _ in range(200):
        flood.later(60)
        flood.send(address="203.0.113.66")
        await flood.written()
    left = await flood.written()
    assert len(left) == KEPT_SAMPLES
    assert good <= {sample.id for sample in left}


async def test_many_senders_have_a_sample_each(flood: Flood) -> None:
    for n in range(KEPT_SAMPLES):
        flood.send(address=f"192.0.{n}.1")
        flood.later(10)
        flood.send(address="203.0.113.66")
        flood.later(10)
        await flood.written()
    senders = Counter(sample.sender for sample in await flood.written())
    assert max(senders.values()) == 1


async def test_the_memory_is_bounded_while_the_database_is_away() -> None:
    flood = Flood(Bounds(sample_bytes=20_000, sender_samples=1_000, reason_samples=1_000, at_once=10_000))
    flood.failures = [Unavailable("away")]
    for n in range(100):
        flood.send(project=f"p{n % 3}")
        if n == 50:
            await flood.written()
    assert flood.sampler._bytes <= 20_000
    left = await flood.written()
    assert 0 < len(left) <= 3 * KEPT_SAMPLES
    assert sum(map(sampling._size, left)) <= 20_000


async def test_names_are_forgotten_when_they_have_all_they_may_have() -> None:
    flood = Flood(Bounds(names=3))
    assert [flood.send(project=f"p{n}", address=f"192.0.{n}.1") for n in range(5)] == [True, True, True, False, False]
    flood.later(Bounds().sender_seconds)
    assert flood.send(project="p9", address="192.0.9.1")


@pytest.mark.parametrize("error", [Unavailable("away"), CommitUnknown("no answer")])
async def test_what_was_not_written_is_written_later_once(
    flood: Flood, error: Unavailable, caplog: pytest.LogCaptureFixture
) -> None:
    flood.send()
    flood.failures = [error, error]
    assert await flood.written() == []
    assert await flood.written() == []
    flood.send(address="192.0.2.1")
    assert len(await flood.written()) == 2
    assert len(await flood.written()) == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_senders_have_other_numbers_in_another_process(flood: Flood, monkeypatch: pytest.MonkeyPatch) -> None:
    def keys() -> Iterator[bytes]:
        yield from (b"a" * 16, b"b" * 16)

    drawn = keys()
    monkeypatch.setattr(CountingIds, "random_bytes", lambda self, count: next(drawn, b"x" * count))
    numbers = set()
    for _ in range(2):
        one = Flood()
        one.send()
        (sample,) = await one.written()
        numbers.add(sample.sender)
    assert len(numbers) == 2
