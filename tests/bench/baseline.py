"""What is measured against: a Tornado RequestHandler that only parses the JSON and answers 202."""

from __future__ import annotations

import asyncio
import json
import sys

from tornado.web import Application, RequestHandler


class ParseOnly(RequestHandler):
    def post(self) -> None:
        json.loads(self.request.body)
        self.set_status(202)


async def main() -> None:
    application = Application([(r"/v1/events", ParseOnly)], log_function=lambda handler: None)
    server = application.listen(0, "127.0.0.1")
    port = next(iter(server._sockets.values())).getsockname()[1]
    print(f"Listening on 127.0.0.1:{port},", file=sys.stderr, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
