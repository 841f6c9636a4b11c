"""One test for each outcome and each code that a sender can meet: status, body, headers."""

from __future__ import annotations

from uuid import UUID

import pytest

from catchment.adapters.http.answers import STATUS_OF
from catchment.core.errors import CommitUnknown, Unavailable
from catchment.core.project import DoNotTrack
from catchment.core.refusals import Reason

from .serving import ORIGIN, Site, check_batch, check_common, check_problem, check_receipt

pytestmark = pytest.mark.gen_test


async def test_stored_is_said_with_the_ids_of_event_and_session(site: Site) -> None:
    receipt = check_receipt(await site.post(site.event()), "stored")
    assert receipt["warnings"] == []
    assert UUID(receipt["event_id"]).version == 7
    assert UUID(receipt["session_id"]).version == 7
    (stored,) = site.storage.events
    assert (stored.event_id, stored.session_id) == (receipt["event_id"], receipt["session_id"])


async def test_stored_keeps_the_ids_that_were_sent(site: Site) -> None:
    receipt = check_receipt(await site.post(site.event(eventId="e-1", sessionId="s-1")), "stored")
    assert (receipt["event_id"], receipt["session_id"]) == ("e-1", "s-1")


async def test_stored_with_warnings_says_what_was_changed_where(site: Site) -> None:
    receipt = check_receipt(await site.post(site.event(colour="red", page_title="x" * 600)), "stored")
    assert {(w["code"], w["field"]) for w in receipt["warnings"]} == {
        ("unknown_field", "colour"),
        ("cut", "page_title"),
    }
    assert all(set(warning) == {"code", "field", "detail"} for warning in receipt["warnings"])


async def test_duplicate_is_said_of_an_id_that_is_known_and_counted_once(site: Site) -> None:
    check_receipt(await site.post(site.event(eventId="e-1")), "stored")
    receipt = check_receipt(await site.post(site.event(eventId="e-1")), "duplicate")
    assert receipt["event_id"] == "e-1"
    assert len(site.storage.events) == 1
    assert sum(site.storage.usage.values()) == 1


async def test_duplicate_is_never_refused_for_quota(site: Site) -> None:
    await site.limit(1)
    check_receipt(await site.post(site.event(eventId="e-1")), "stored")
    check_receipt(await site.post(site.event(eventId="e-1")), "duplicate")


async def test_dry_run_shows_the_row_and_stores_nothing(site: Site) -> None:
    answer = await site.post(site.event(eventId="e-1"), "/v1/events?dry_run=1")
    check_common(answer)
    assert answer.status == 200
    assert answer.headers["X-Catchment-Outcome"] == "dry_run"
    body = answer.json
    assert set(body) == {"outcome", "would_be", "reason", "row", "warnings"}
    assert (body["outcome"], body["would_be"], body["reason"]) == ("dry_run", "stored", None)
    assert body["row"]["event_id"] == "e-1"
    assert body["row"]["ip"] == "127.0.0.0"
    assert site.storage.events == []
    assert site.storage.usage == {}


async def test_dry_run_with_a_public_key_shows_nothing_that_plugins_know(site: Site) -> None:
    for path, event in (("/v1/events", site.event(userId="known")), ("/v1/batch", [site.event(userId="known")])):
        body = (await site.post(event, f"{path}?dry_run=1")).json
        row = body["results"][0]["row"] if path == "/v1/batch" else body["row"]
        assert row["user_id"] == "known"
        assert not {"properties", "project_id"} & row.keys()
        assert "gold" not in str(body)
    mine = await site.post(site.event(projectKey=site.server_key, userId="known"), "/v1/events?dry_run=1")
    assert (mine.json["row"]["properties"], mine.json["row"]["project_id"]) == ({"tier": "gold"}, site.project.id)


async def test_dry_run_says_what_would_have_been_refused_and_why(site: Site) -> None:
    answer = await site.post(site.event(url="https://evil.example/"), "/v1/events?dry_run=1")
    check_common(answer)
    assert (answer.status, answer.headers["X-Catchment-Reason"]) == (200, "origin_not_allowed")
    body = answer.json
    assert (body["would_be"], body["reason"], body["row"]) == ("refused", "origin_not_allowed", None)


async def test_dry_run_of_a_request_that_is_refused_as_a_whole_is_refused(site: Site) -> None:
    check_problem(await site.post(site.event(projectKey=None), "/v1/events?dry_run=1"), 401, "missing_key")


@pytest.mark.parametrize("query", ["dry_run=0", "dry_run=1&dry_run=0", "other=1", "other=dry_run", "dry_runs=1"])
async def test_dry_run_is_only_what_says_so(site: Site, query: str) -> None:
    check_receipt(await site.post(site.event(), f"/v1/events?{query}"), "stored")


@pytest.mark.parametrize("query", ["dry_run", "dry_run=", "dry_run=true", "other=1&dry_run"])
async def test_dry_run_may_be_asked_for_by_its_name_alone(site: Site, query: str) -> None:
    answer = await site.post(site.event(), f"/v1/events?{query}")
    assert answer.json["outcome"] == "dry_run"


async def test_dry_run_of_a_batch_stores_nothing(site: Site) -> None:
    answer = await site.post([site.event(), site.event(url="https://evil.example/")], "/v1/batch?dry_run=1")
    check_common(answer)
    results = answer.json["results"]
    assert [(r["outcome"], r["would_be"], r["reason"]) for r in results] == [
        ("dry_run", "stored", None),
        ("dry_run", "refused", "origin_not_allowed"),
    ]
    assert site.storage.events == []


async def test_filtered_bot_is_neither_stored_nor_counted(site: Site) -> None:
    from catchment.core.project import Bots

    await site.change(bots=Bots.FILTER)
    check_receipt(await site.post(site.event(), User_Agent="somebot/1.0"), "filtered", "bot")
    assert site.storage.events == []
    assert site.storage.usage == {}


async def test_a_bot_is_stored_with_its_flag_where_the_project_does_not_filter(site: Site) -> None:
    check_receipt(await site.post(site.event(), User_Agent="somebot/1.0"), "stored")
    assert site.storage.events[0].is_bot


@pytest.mark.parametrize("header", ["DNT", "Sec_GPC"])
async def test_filtered_do_not_track_is_neither_stored_nor_counted(site: Site, header: str) -> None:
    await site.change(do_not_track=DoNotTrack.FILTER)
    check_receipt(await site.post(site.event(), **{header: "1"}), "filtered", "do_not_track")
    assert site.storage.events == []
    check_receipt(await site.post(site.event(), **{header: "0"}), "stored")


async def test_do_not_track_of_a_back_end_s_connection_does_not_count(site: Site) -> None:
    await site.change(do_not_track=DoNotTrack.FILTER)
    check_receipt(await site.post(site.event(projectKey=site.server_key), DNT="1"), "stored")


async def test_filtered_plugin_names_the_plugin_and_its_code(site: Site) -> None:
    check_receipt(await site.post(site.event(event_name="Noise")), "filtered", "plugin:example:noise")
    assert site.storage.events == []


async def test_invalid_json_is_said_of_a_body_that_is_not_json(site: Site) -> None:
    problem = check_problem(await site.post(b'{"event_name": '), 400, "invalid_json")
    assert "event_name" not in problem["detail"]


async def test_invalid_event_says_by_field_what_is_wrong(site: Site) -> None:
    answer = await site.post(site.event(event_name=7, url="javascript:1", timestamp="soon"))
    problem = check_problem(answer, 400, "invalid_event", "errors")
    assert set(problem["errors"]) == {"event_name", "url", "timestamp"}
    assert all(words and all(isinstance(one, str) for one in words) for words in problem["errors"].values())


async def test_missing_key_is_said_where_no_key_was_sent(site: Site) -> None:
    problem = check_problem(await site.post(site.event(projectKey=None)), 401, "missing_key")
    assert problem["detail"] == (
        "Send the project's key as projectKey in the body (the tag: data-key), or as Authorization: Bearer."
    )


@pytest.mark.parametrize("field", ["project_key", "ProjectKey", "key", "api_key"])
@pytest.mark.parametrize("shape", ["event", "array", "envelope"])
async def test_missing_key_names_the_field_that_was_taken_for_it(site: Site, field: str, shape: str) -> None:
    event = site.event(projectKey=None, **({field: site.browser_key} if shape != "envelope" else {}))
    envelope = {field: site.browser_key, "events": [event]}
    body, path = {"event": (event, "/v1/events"), "array": ([event], "/v1/batch"), "envelope": (envelope, "/v1/batch")}[
        shape
    ]
    problem = check_problem(await site.post(body, path), 401, "missing_key")
    assert problem["detail"].startswith(f"{field} is not a field for it. Send the project's key as projectKey in")
    good = await site.post(body, path, Authorization=f"Bearer {site.browser_key}")
    assert good.status == 200


@pytest.mark.parametrize("header", ["Basic {}", "Token {}", "Bearer", "{}"])
async def test_missing_key_says_that_the_header_holds_none(site: Site, header: str) -> None:
    """And does not repeat the header: it may hold a password."""
    for body, path in ((site.event(projectKey=None), "/v1/events"), ([site.event(projectKey=None)], "/v1/batch")):
        answer = await site.post(body, path, Authorization=header.format("hunter2"))
        problem = check_problem(answer, 401, "missing_key")
        assert problem["detail"].startswith(
            "The Authorization header is not `Bearer` and a key. Send the project's key"
        )
        assert "hunter2" not in problem["detail"]


@pytest.mark.parametrize("key", ["pk_mistyped", "hunter2", "pk_", "sk_" + "x" * 500, "\u00fc"])
async def test_unknown_key_is_said_of_a_text_that_is_no_key_without_a_look_up(site: Site, key: str) -> None:
    check_problem(await site.post(site.event(projectKey=key)), 401, "unknown_key")
    assert site.projects.asked == 0


async def test_unknown_key_is_said_of_a_good_key_of_nobody(site: Site) -> None:
    from catchment.core.keys import make_key
    from catchment.core.project import KeyKind

    key = make_key(KeyKind.BROWSER, b"sixteen bytes of")
    check_problem(await site.post(site.event(projectKey=key)), 401, "unknown_key")
    assert site.projects.asked == 1


async def test_revoked_key_is_said_of_a_key_that_was_revoked(site: Site) -> None:
    await site.administer.revoke_key(site.browser_key)
    check_problem(await site.post(site.event()), 401, "revoked_key")


async def test_quota_exceeded_is_said_where_the_quota_is_used_up(site: Site) -> None:
    await site.limit(1)
    check_receipt(await site.post(site.event()), "stored")
    check_problem(await site.post(site.event()), 402, "quota_exceeded")
    assert sum(site.storage.usage.values()) == 1


ADD_IT = "add it with `catchment project set P --add-origin ORIGIN`."
FOREIGN_URL = f"The event's url (https://evil.example) matches none of the project's origins; {ADD_IT}"
FOREIGN_ORIGIN = f"The Origin header (https://evil.example) matches none of the project's origins; {ADD_IT}"


async def test_origin_not_allowed_is_said_of_a_foreign_url(site: Site) -> None:
    foreign = site.event(url="https://evil.example/")
    problem = check_problem(await site.post(foreign), 403, "origin_not_allowed")
    assert problem["detail"] == FOREIGN_URL
    assert (await site.post([foreign], "/v1/batch")).json["results"][0]["detail"] == FOREIGN_URL
    assert (await site.post(foreign, "/v1/events?dry_run=1")).json["detail"] == FOREIGN_URL


async def test_origin_not_allowed_is_said_of_a_foreign_origin_and_its_page_may_read_it(site: Site) -> None:
    answer = await site.post(site.event(), Origin="https://evil.example")
    check_common(answer, "https://evil.example")
    assert (answer.status, answer.json["code"], answer.json["detail"]) == (403, "origin_not_allowed", FOREIGN_ORIGIN)


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ("https://evil.example:8443", " (https://evil.example:8443)"),
        ("capacitor://localhost", " (capacitor://localhost)"),
        ("https://evil.example/`rm -rf`", ""),
        ("x" * 5000, ""),
    ],
)
async def test_origin_not_allowed_names_the_origin_as_a_rule_would(site: Site, sent: str, named: str) -> None:
    answer = await site.post(site.event(), Origin=sent)
    assert (answer.status, answer.json["code"]) == (403, "origin_not_allowed")
    assert answer.json["detail"].startswith(f"The Origin header{named} matches none of the project's")


async def test_origin_not_allowed_is_said_of_null_unless_the_project_allows_it(site: Site) -> None:
    answer = await site.post(site.event(), Origin="null")
    check_common(answer, "null")
    assert (answer.status, answer.json["code"]) == (403, "origin_not_allowed")
    assert answer.json["detail"] == "Origin: null is not allowed for this project."
    await site.change(allow_null_origin=True)
    assert (await site.post(site.event(), Origin="null")).status == 200


async def test_project_disabled_is_said_where_the_project_is_switched_off(site: Site) -> None:
    await site.change(enabled=False)
    check_problem(await site.post(site.event()), 403, "project_disabled")


@pytest.mark.parametrize(
    "path", ["//", "/v1", "/v1/events/", "/v1/event", "//v1/events", "/V1/EVENTS", "/v1/events%3F"]
)
async def test_not_found_is_said_of_an_address_where_nothing_is(site: Site, path: str) -> None:
    check_problem(await site.ask("GET", path), 404, "not_found")
    check_problem(await site.post(site.event(), path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/events", "OPTIONS, POST"),
        ("HEAD", "/v1/batch", "OPTIONS, POST"),
        ("PUT", "/v1/events", "OPTIONS, POST"),
        ("BREW", "/v1/events", "OPTIONS, POST"),
        ("POST", "/healthz", "GET, HEAD, OPTIONS"),
        ("DELETE", "/metrics", "GET, HEAD, OPTIONS"),
        ("POST", "/", "GET, HEAD, OPTIONS"),
    ],
)
async def test_method_not_allowed_names_the_methods_that_are(site: Site, method: str, path: str, allowed: str) -> None:
    answer = await site.ask(method, path)
    assert answer.headers["Allow"] == allowed
    if method == "HEAD":
        check_common(answer)
        assert answer.status == 405
    else:
        words = check_problem(answer, 405, "method_not_allowed")["detail"]
        assert words.startswith(f"{path} takes {allowed}, not {method}.")


async def test_too_large_is_said_of_a_body_over_the_limit(site: Site) -> None:
    check_problem(await site.post(site.event(page_title="x" * 70_000)), 413, "too_large")


async def test_unsupported_media_type_names_what_is_supported(site: Site) -> None:
    answer = await site.post(b"event_name=A", Content_Type="application/x-www-form-urlencoded")
    problem = check_problem(answer, 415, "unsupported_media_type")
    assert "application/json" in problem["detail"]


async def test_refused_by_plugin_has_the_plugin_s_code_and_words(site: Site) -> None:
    problem = check_problem(
        await site.post(site.event(event_name="Forbidden")), 422, "refused_by_plugin", "plugin_code"
    )
    assert (problem["plugin_code"], problem["detail"]) == ("forbidden_name", "Call it something else.")


async def test_rate_limited_says_when_to_try_again(site: Site) -> None:
    site.rate_limiter.wait = 7
    answer = await site.post(site.event())
    check_problem(answer, 429, "rate_limited")
    assert answer.headers["Retry-After"] == "7"


async def test_unavailable_names_the_id_to_send_again_with(site: Site) -> None:
    site.storage.failing = Unavailable("the database is down", retry_after=3)
    answer = await site.post(site.event())
    problem = check_problem(answer, 503, "unavailable", "event_id")
    assert answer.headers["Retry-After"] == "3"
    assert "the database is down" not in answer.body.decode()
    site.storage.failing = None
    check_receipt(await site.post(site.event(eventId=problem["event_id"])), "stored")


async def test_unavailable_keeps_the_id_that_was_sent(site: Site) -> None:
    site.storage.failing = Unavailable()
    problem = check_problem(await site.post(site.event(eventId="e-1")), 503, "unavailable", "event_id")
    assert problem["event_id"] == "e-1"


async def test_commit_unknown_names_the_id_to_send_again_with(site: Site) -> None:
    site.storage.failing = CommitUnknown("the answer was lost")
    problem = check_problem(await site.post(site.event(eventId="e-1")), 503, "commit_unknown", "event_id")
    assert problem["event_id"] == "e-1"


@pytest.mark.parametrize("failing", [Unavailable(), CommitUnknown()])
async def test_unavailable_names_the_ids_of_a_batch_in_order(site: Site, failing: Unavailable) -> None:
    batch = [site.event(eventId="a"), site.event(), site.event(eventId="c"), 7]
    site.storage.failing = failing
    answer = await site.batch(batch)
    code = "commit_unknown" if isinstance(failing, CommitUnknown) else "unavailable"
    ids = check_problem(answer, 503, code, "event_ids")["event_ids"]
    assert (len(ids), ids[0], ids[2]) == (4, "a", "c")
    assert UUID(ids[1]).version == 7
    site.storage.failing = None
    again = [{**event, "eventId": event_id} for event, event_id in zip(batch[:3], ids, strict=False)]  # type: ignore[dict-item]
    check_batch(await site.batch(again), *[("stored", None)] * 3)


def test_every_reason_has_a_status_and_a_test_here() -> None:
    """The table of statuses is that of the contract, word for word."""
    contract = {
        200: {"bot", "do_not_track"},
        400: {"invalid_json", "invalid_event"},
        401: {"missing_key", "unknown_key", "revoked_key"},
        402: {"quota_exceeded"},
        403: {"origin_not_allowed", "project_disabled"},
        404: {"not_found"},
        405: {"method_not_allowed"},
        413: {"too_large"},
        415: {"unsupported_media_type"},
        422: {"refused_by_plugin"},
        429: {"rate_limited"},
        503: {"unavailable", "commit_unknown"},
    }
    table: dict[int, set[str]] = {}
    for reason, status in STATUS_OF.items():
        table.setdefault(status, set()).add(reason.value)
    assert table == contract
    assert set(STATUS_OF) == set(Reason)
    names = " ".join(name for name in globals() if name.startswith("test_"))
    assert [reason for reason in Reason if reason.value not in names] == []


async def test_without_an_origin_there_are_no_cors_headers(site: Site) -> None:
    answer = await site.post(site.event(), Origin="")
    check_common(answer, None)
    assert answer.status == 200
    assert ORIGIN not in str(answer.headers)
