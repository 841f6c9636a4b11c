"""The exceptions of the core.

::

    CatchmentError
    ├── NotPossible            the caller asked for something that can't be done: one line, exit 1
    │   ├── AlreadyExists
    │   ├── NotFound
    │   └── Invalid            a value breaks a rule, such as an origin
    │       └── Misconfigured  the installation's settings are bad: a line for each, exit 2
    ├── Fault                  a fault of the server itself while events were collected
    ├── BadEvents              the event store can never hold one of a few events
    └── Unavailable            the database, for example, does not answer now; try again
        └── CommitUnknown      the events were sent to the database, and the answer was lost

The outcome of an *event* is never an exception: see `catchment.core.outcomes` and `catchment.core.refusals`.
"""

from __future__ import annotations


class CatchmentError(Exception):
    """The base of all errors that Catchment raises on purpose. Its text is for people."""


class NotPossible(CatchmentError):
    """The request can't be done. Trying again changes nothing."""


class AlreadyExists(NotPossible):
    """The name is taken."""


class NotFound(NotPossible):
    """There is no such thing."""


class Invalid(NotPossible):
    """A value breaks a rule."""


class Misconfigured(Invalid):
    """The settings of the installation are bad. The text has a line for each mistake."""


class Fault(CatchmentError):
    """The server failed (see the cause) while it collected events. It is not known if they were stored.
    `event_ids`: the ids with which to send them again."""

    def __init__(self, event_ids: tuple[str, ...]) -> None:
        super().__init__("a fault of our own")
        self.event_ids = event_ids


class BadEvents(CatchmentError):
    """The event store can never hold at least one of the events that it was given. Nothing was stored."""


class Unavailable(CatchmentError):
    """The database, for example, does not answer now. Nothing was stored. Try again after `retry_after` seconds.
    `needs_operator` is true if it does not heal by itself."""

    def __init__(self, message: str = "", *, retry_after: int = 1, needs_operator: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.needs_operator = needs_operator


class CommitUnknown(Unavailable):
    """The events were sent to the database, and the answer was lost. A retry with the same ids is safe."""
