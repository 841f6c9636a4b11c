"""`RateLimit-Policy` and `RateLimit`: what is left of the quotas that count an event."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from catchment.core.metering.patterns import NamePattern
from catchment.core.metering.quota import QuotaRule
from catchment.core.project import KeyKind, Window

from ..support.answers import Answer
from .serving import DUPLICATE, PAGE, STORED, Site, check_batch, check_problem, check_receipt, refused

pytestmark = pytest.mark.gen_test

NOON_TO_MIDNIGHT = 12 * 3600
NOVEMBER, LEFT_OF_NOVEMBER = 30 * 86400, 28 * 86400 + NOON_TO_MIDNIGHT


def told(answer: Answer) -> tuple[str | None, str | None]:
    return answer.headers.get("RateLimit-Policy"), answer.headers.get("RateLimit")


async def test_without_a_quota_nothing_is_told(site: Site) -> None:
    assert told(await site.post(site.event())) == (None, None)
    await site.quotas.set(QuotaRule(window=Window.MONTH, soft=5), project="shop")
    assert told(await site.post(site.event())) == (None, None)


async def test_an_answer_tells_what_is_left(site: Site) -> None:
    await site.limit(2)
    for left in (1, 0):
        answer = await site.post(site.event())
        check_receipt(answer, "stored")
        assert told(answer) == (
            f'"project-month";q=2;w={NOVEMBER}',
            f'"project-month";r={left};t={LEFT_OF_NOVEMBER}',
        )
    answer = await site.post(site.event())
    problem = check_problem(answer, 402, "quota_exceeded")
    assert told(answer) == (f'"project-month";q=2;w={NOVEMBER}', f'"project-month";r=0;t={LEFT_OF_NOVEMBER}')
    assert answer.headers["Retry-After"] == str(LEFT_OF_NOVEMBER)
    assert problem["detail"] == (
        "The quota of this project is used up: at most 2 events a month. It begins anew at 2026-12-01T00:00:00Z."
    )


async def test_only_quotas_that_count_the_event_are_told(site: Site) -> None:
    rules = (
        QuotaRule(window=Window.DAY, hard=9, events=NamePattern.parse("Add*")),
        QuotaRule(window=Window.DAY, hard=5, keys=KeyKind.SERVER),
    )
    for rule in rules:
        await site.quotas.set(rule, account="roastery")
    assert told(await site.post(site.event())) == (
        '"account-day Add*";q=9;w=86400',
        f'"account-day Add*";r=8;t={NOON_TO_MIDNIGHT}',
    )
    assert told(await site.post(site.event(event_name="View"))) == (None, None)
    server = await site.post(site.event(projectKey=site.server_key, event_name="View"))
    assert told(server)[1] == f'"account-day-server";r=4;t={NOON_TO_MIDNIGHT}'


async def test_a_batch_tells_it_once_and_each_event_has_its_outcome(site: Site) -> None:
    await site.quotas.set(QuotaRule(window=Window.DAY, hard=2, events=NamePattern.parse("Add*")), project="shop")
    sent = [site.event(eventId=name, event_name=name) for name in ("AddA", "View", "AddB", "AddC")]
    answer = await site.batch(sent)
    results = check_batch(answer, STORED, STORED, STORED, refused("quota_exceeded"))
    assert "at most 2 events named Add* a day" in results[3]["detail"]
    assert told(answer) == ('"project-day Add*";q=2;w=86400', f'"project-day Add*";r=0;t={NOON_TO_MIDNIGHT}')
    answer = await site.batch(sent[:2])
    check_batch(answer, DUPLICATE, DUPLICATE)
    assert told(answer) == (None, None)


async def test_a_picture_tells_it_too(site: Site) -> None:
    await site.limit(1)
    query = urlencode({"k": site.browser_key, "n": "View", "u": PAGE})
    assert told(await site.ask("GET", f"/v1/pixel.gif?{query}"))[1] == f'"project-month";r=0;t={LEFT_OF_NOVEMBER}'
