"""The client's main paths in one go, for interpreters that have nothing else installed. Run as a program."""

import asyncio
import sys

import catchment_client
from catchment_client import AsyncClient, Client, InvalidEvent, Refused
from catchment_client.testing import RecordingClient


async def in_a_loop(endpoint: str, key: str, name: str) -> None:
    async with AsyncClient(endpoint, key) as client:
        client.track("Ping", event_id=f"{name}-async-tracked")
        assert (await client.send("Ping", event_id=f"{name}-async-sent")).outcome == "stored"
        assert await client.flush(30)


def main(endpoint: str, key: str) -> None:
    assert catchment_client.__version__
    name = "{}.{}".format(*sys.version_info[:2])
    client = Client(endpoint, key)
    client.track("Ping", {"text": "x" * 10_000}, event_id=f"{name}-tracked")
    assert client.flush(30)
    assert client.send("Ping", event_id=f"{name}-sent").outcome == "stored"
    reasons = []
    for wrong in ({"url": "nonsense"}, {"ip": "nonsense"}):
        try:
            client.send("Bad", **wrong)
        except Refused as refused:
            reasons.append(refused.reason)
    try:
        client.track("")
    except InvalidEvent as error:
        reasons.append(error.field)
    assert reasons == ["invalid_event", "invalid_event", "name"]
    asyncio.run(in_a_loop(endpoint, key, name))
    recording = RecordingClient()
    recording.track("Ping")
    assert recording.named("Ping")
    client.track("Ping", event_id=f"{name}-at-exit")


main(*sys.argv[1:])
