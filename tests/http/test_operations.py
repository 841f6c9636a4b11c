"""What operators ask, and what everybody may: health, readiness, metrics."""

from __future__ import annotations

import pytest

from .serving import Answer, MakeSite, Site, check_common, check_problem, networks

pytestmark = pytest.mark.gen_test
DETAILS = {"queue": {"events": 3}, "database": {"fsync": True}}


def samples(answer: Answer) -> dict[str, float]:
    """The samples of a text for Prometheus."""
    lines = answer.body.decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line and line[0] != "#"}


async def test_healthz_says_that_it_is_alive(site: Site) -> None:
    answer = await site.ask("GET", "/healthz")
    check_common(answer)
    assert (answer.status, answer.json) == (200, {"status": "alive"})
    assert site.projects.asked == 0


@pytest.mark.parametrize(("ready", "status", "word"), [(True, 200, "ready"), (False, 503, "not_ready")])
async def test_readyz_has_its_details_for_operators(make_site: MakeSite, ready: bool, status: int, word: str) -> None:
    site = await make_site(ready=(ready, DETAILS))
    answer = await site.ask("GET", "/readyz")
    check_common(answer)
    assert (answer.status, answer.json) == (status, {"status": word, **DETAILS})


STRANGERS = [
    ("198.51.100.0/24", (), {}),
    ("198.51.100.0/24", (), {"X-Forwarded-For": "198.51.100.1"}),
    ("127.0.0.0/8", ("127.0.0.0/8",), {"X-Forwarded-For": "203.0.113.9"}),
    ("127.0.0.0/8", ("127.0.0.0/8",), {"X-Forwarded-For": "127.0.0.1, 203.0.113.9"}),
]


@pytest.mark.parametrize(("operators", "trusted", "headers"), STRANGERS)
async def test_strangers_get_the_bare_status_and_no_metrics(
    make_site: MakeSite, operators: str, trusted: tuple[str, ...], headers: dict[str, str]
) -> None:
    site = await make_site(operators=networks(operators), trusted=networks(*trusted), ready=(True, DETAILS))
    answer = await site.ask("GET", "/readyz", b"", headers)
    assert (answer.status, answer.json) == (200, {"status": "ready"})
    check_problem(await site.ask("GET", "/metrics", b"", headers), 404, "not_found")


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via", "Cf-Connecting-Ip"])
async def test_who_is_behind_a_proxy_that_is_not_trusted_is_no_operator(site: Site, header: str) -> None:
    """The proxy itself may be in an operator network; whose request it forwards, nobody knows."""
    headers = {header: "127.0.0.1"}
    assert set((await site.ask("GET", "/readyz", b"", headers)).json) == {"status"}
    check_problem(await site.ask("GET", "/metrics", b"", headers), 404, "not_found")
    assert site.http.clients.untrusted_proxy == "127.0.0.1"


async def test_a_private_proxy_that_is_not_trusted_is_noticed(site: Site) -> None:
    assert site.http.clients.untrusted_proxy is None
    await site.post(site.event(), X_Forwarded_For="198.51.100.1")
    assert site.http.clients.untrusted_proxy == "127.0.0.1"


async def test_an_operator_behind_a_trusted_proxy_is_one(make_site: MakeSite) -> None:
    site = await make_site(
        operators=networks("198.51.100.0/24"), trusted=networks("127.0.0.0/8"), ready=(True, DETAILS)
    )
    headers = {"X-Forwarded-For": "198.51.100.1"}
    assert (await site.ask("GET", "/readyz", b"", headers)).json == {"status": "ready", **DETAILS}
    assert (await site.ask("GET", "/metrics", b"", headers)).status == 200


async def test_metrics_count_outcomes_and_answers_by_the_same_words(site: Site) -> None:
    await site.post(site.event(eventId="e"))
    await site.post(site.event(eventId="e"))
    await site.post(site.event(event_name=""))
    await site.post(site.event(event_name="Noise"))
    await site.post(site.event(), "/v1/events?dry_run=1")
    await site.post(b"")
    await site.batch([site.event(), site.event(), site.event(url="https://evil.example/")])
    await site.post(site.event(), "/somewhere")
    answer = await site.ask("GET", "/metrics")
    check_common(answer)
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = samples(answer)
    events = {
        ("stored", ""): 3,
        ("duplicate", ""): 1,
        ("refused", "invalid_event"): 1,
        ("filtered", "plugin"): 1,
        ("dry_run", ""): 1,
        ("refused", "invalid_json"): 1,
        ("refused", "origin_not_allowed"): 1,
    }
    told = {name: n for name, n in found.items() if name.startswith("catchment_events_total")}
    assert told == {
        f'catchment_events_total{{outcome="{outcome}",reason="{reason}"}}': float(n)
        for (outcome, reason), n in events.items()
    }
    assert found['catchment_http_responses_total{route="/v1/events",status="200"}'] == 4
    assert found['catchment_http_responses_total{route="/v1/events",status="400"}'] == 2
    assert found['catchment_http_responses_total{route="other",status="404"}'] == 1
    assert found["catchment_http_response_seconds_count"] == 8


async def test_metrics_have_no_label_per_project_key_or_path(site: Site) -> None:
    for path in ("/v1/events", "/wp-login.php", "/v1/events?k=v"):
        await site.post(site.event(), path)
    text = (await site.ask("GET", "/metrics")).body.decode()
    for word in (site.project.id, site.browser_key, "shop", "roastery", "wp-login", "k=v"):
        assert word not in text
