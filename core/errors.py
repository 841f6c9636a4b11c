"""The exceptions of the core.

::

    CatchmentError
    ├── NotPossible            the caller asked for something that can't be: said in one line, exit 1
    │   ├── AlreadyExists
    │   ├── NotFound
    │   └── Invalid            a value that breaks a rule, such as an origin
    │       └── Misconfigured  the installation's settings are bad: a line for each, exit 2
    ├── Fault                  a fault of our own while events were collected
    └── Unavailable            the outside world does not answer now; trying again makes sense
        └── CommitUnknown      it was sent to the database, and the answer was lost

What becomes of an *event* is never an exception: see `catchment.core.outcomes`.
"""

from __future__ import annotations


class CatchmentError(Exception):
    """The base of all errors that Catchment raises on purpose. Its text is for people."""


class NotPossible(CatchmentError):
    """What was asked for can't be done; asking again changes nothing."""


class AlreadyExists(NotPossible):
    """The name is taken."""


class NotFound(NotPossible):
    """There is no such thing."""


class Invalid(NotPossible):
    """A value breaks a rule."""


class Misconfigured(Invalid):
    """The settings of the installation are bad; its text has a line for each."""


class Fault(CatchmentError):
    """A fault of our own (its cause) while events were collected; whether they were stored is not known.
    `event_ids`: the ids to send them again with."""

    def __init__(self, event_ids: tuple[str, ...]) -> None:
        super().__init__("a fault of our own")
        self.event_ids = event_ids


class Unavailable(CatchmentError):
    """The outside world does not answer now. Nothing was stored; try again after `retry_after` seconds."""

    def __init__(self, message: str = "", *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CommitUnknown(Unavailable):
    """It was sent to the database and the answer was lost: stored or not, a retry with the same id is safe."""
