"""The wire protocols: one module for each way of sending events.

- `wire_protocol`: the base class. `native`: `/v1/events` and `/v1/batch`. `pixel`: `/v1/pixel.gif`.
- `bodies`: the three shapes of a native body. `decode`: JSON and gzip. `headers`: key, media type, charset, encoding.
- `errors`: why a request is not read, with the refusal.
"""
