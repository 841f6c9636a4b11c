"""Posts events, one after the other on one connection, and prints what became of them. Run as a program."""

from __future__ import annotations

import http.client
import json
import sys


def main(port: int, key: str, url: str, prefix: str, count: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    became: dict[str, list[str]] = {}
    for number in range(count):
        event_id = f"{prefix}-{number}"
        event = {"projectKey": key, "event_name": "Purchase", "url": url, "eventId": event_id}
        connection.request("POST", "/v1/events", json.dumps(event), {"Content-Type": "application/json"})
        answer = json.load(connection.getresponse())
        became.setdefault(answer.get("code") or answer["outcome"], []).append(event_id)
    connection.close()
    print(json.dumps(became))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
