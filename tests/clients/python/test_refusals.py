"""What stands between the client and the server and dislikes what is in an event: in words that are not Catchment's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from catchment_client import Client, Lost, Receipt, Unavailable

from ...support.waiting import wait_until
from .stub import Asked, Says, Stub, stores

MakeClient = Callable[..., Client]
WORDS = "1; DROP TABLE"
PAGES = [
    Says(403, b"<h1>Forbidden</h1>"),
    Says(400, b""),
    Says(406, {"error": "not acceptable"}),
    Says(413, b"<h1>Payload Too Large</h1>"),
    Says(200, b"<h1>The requested URL was rejected</h1>"),
]


class Firewall:
    """Answers with its own page where a body holds certain words, or always."""

    def __init__(self, page: Says) -> None:
        self.page = page
        self.is_on = True
        self.dislikes = lambda asked: WORDS in str(asked.body)

    def __call__(self, asked: Asked) -> Says:
        return self.page if self.is_on and self.dislikes(asked) else stores(asked, losses="recorded")


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.status))
def test_an_event_that_is_refused_on_the_way_holds_up_no_other_and_is_kept(
    stub: Stub, make_client: MakeClient, page: Says, log: pytest.LogCaptureFixture
) -> None:
    stub.answer = firewall = Firewall(page)
    receipts: list[Receipt] = []
    client = make_client(stub.endpoint, linger=3600, on_receipt=receipts.append, on_error=receipts.append)
    good = [client.track("Ping") for _ in range(100)]
    bad = client.track("Search", {"text": WORDS})
    good += [client.track("Ping") for _ in range(100)]
    assert client.flush(0) is False
    wait_until(lambda: client.pending == 1, "all but the one have their answer")
    assert sorted(receipt.event_id for receipt in receipts) == sorted(good)
    # what comes later passes at once, in one request, and the one is tried now and then
    later = [client.track("Ping") for _ in range(100)]
    assert client.flush(0) is False
    wait_until(lambda: client.pending == 1, "later ones are answered, too")
    assert later in [asked.ids for asked in stub.asked]
    tries = sum(asked.ids == [bad] for asked in stub.asked)
    wait_until(lambda: sum(asked.ids == [bad] for asked in stub.asked) > tries, "it is tried again")
    firewall.is_on = False
    assert client.flush(30)
    assert sorted(receipt.event_id for receipt in receipts) == sorted([*good, *later, bad])
    assert {receipt.outcome for receipt in receipts} == {"stored"}
    assert client.losses == {}
    assert "1 event set aside" in log.text
    assert WORDS not in log.text


@pytest.mark.usefixtures("quick_retries")
def test_a_way_that_refuses_everything_for_a_while_costs_nothing_but_time(stub: Stub, make_client: MakeClient) -> None:
    stub.answer = firewall = Firewall(PAGES[0])
    firewall.dislikes = lambda asked: True
    client = make_client(stub.endpoint, linger=3600)
    tracked = [client.track("Ping") for _ in range(200)]
    assert client.flush(0) is False
    wait_until(lambda: len(stub.asked) > 20, "it is tried often")
    assert [len(asked.ids) for asked in stub.asked[:5]] == [200, 100, 100, 1, 1]
    assert client.pending == 200
    firewall.is_on = False
    before = len(stub.asked)
    assert client.flush(30)
    assert sorted({one for asked in stub.asked[before:] for one in asked.ids} | set(tracked)) == sorted(tracked)
    assert (client.pending, client.losses) == (0, {})


def test_an_event_that_is_refused_to_the_end_is_lost_and_reported(stub: Stub, make_client: MakeClient) -> None:
    stub.answer = Firewall(PAGES[0])
    errors: list[Any] = []
    client = make_client(stub.endpoint, linger=3600, on_error=errors.append)
    good = client.track("Ping")
    bad = client.track("Search", {"text": WORDS})
    assert client.close(5) is False
    assert [(type(error), error.event_id, error.reason) for error in errors] == [(Lost, bad, "gave_up")]
    assert client.losses == {"gave_up": 1}
    assert good in stub.ids
    last = stub.asked[-1].body
    assert (last["events"], last["losses"]["counts"]) == ([], {"gave_up": 1})


@pytest.mark.usefixtures("quick_retries")
def test_an_event_that_is_refused_for_too_long_is_dropped(stub: Stub, make_client: MakeClient) -> None:
    stub.answer = Firewall(PAGES[0])
    client = make_client(stub.endpoint, max_age=0.3)
    client.track("Search", {"text": WORDS})
    assert client.flush(30) is False
    assert client.losses == {"expired": 1}
    assert stub.asked[-1].body["losses"]["counts"] == {"expired": 1}


def test_send_tries_again_what_is_refused_on_the_way(stub: Stub, make_client: MakeClient) -> None:
    stub.answer = Firewall(PAGES[3])
    client = make_client(stub.endpoint)
    with pytest.raises(Unavailable, match="http_413"):
        client.send("Search", {"text": WORDS}, timeout=2)
    stub.answer = lambda asked: Says(200, {"outcome": []})
    with pytest.raises(Unavailable, match="not_understood"):
        client.send("Ping", timeout=2)


def test_a_server_that_names_a_time_while_it_refuses_is_not_asked_before(stub: Stub, make_client: MakeClient) -> None:
    asked = threading.Event()

    def answer(_: Asked) -> Says:
        asked.set()
        return Says(403, b"<h1>back in an hour</h1>", (("Retry-After", "3600"),))

    stub.answer = answer
    client = make_client(stub.endpoint)
    client.track("Ping")
    assert asked.wait(30)
    client.track("Ping")
    assert client.close(0.5) is False
    assert client.losses == {"gave_up": 2}
    assert len(stub.asked) == 1
