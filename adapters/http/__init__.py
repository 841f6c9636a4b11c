"""The HTTP adapter, on Tornado. Each part imports only those below it.

- `routes`: the table of routes, with the policy of each. `application`: finds the route, and writes the common headers.
- `protocol_runner`: reads the events of a request by its wire protocol, and passes them to the use case.
- `operations`: health, metrics, OpenAPI, the front page. `tracker`: the scripts for websites.
- `protocols`: the wire protocols. `wire_protocol` is their base class; `native` and `pixel` are two.
- `answers`: receipts and problem documents, and the HTTP status of each reason.
- `engine`: receives requests and writes answers, within bounds: connections, memory, workers, signals. `wire` has all
  uses of Tornado's private names.
"""
