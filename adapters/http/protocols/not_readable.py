"""The reasons why a request is not read. Each carries the refusal that the sender gets. Their texts are where they are
raised: `decode.py`, `bodies.py`, `headers.py`.

::

    NotReadable        invalid_json: the body is not what it should be
    ├── TooLarge       too_large
    ├── NotSupported   unsupported_media_type: another media type, charset or encoding
    └── Refused        any other refusal, decided before the body was read
"""

from __future__ import annotations

from typing import ClassVar

from catchment.core.refusals import Reason, Refusal


class NotReadable(Exception):
    """The body cannot be read. The text says why, and never repeats the body."""

    reason: ClassVar[Reason] = Reason.INVALID_JSON

    @property
    def refusal(self) -> Refusal:
        """The answer to the sender."""
        return Refusal(reason=self.reason, detail=str(self))


class TooLarge(NotReadable):
    """The body, or what it unpacks to, is over the limit."""

    reason = Reason.TOO_LARGE


class NotSupported(NotReadable):
    """The media type, charset or encoding is not one that this protocol reads."""

    reason = Reason.UNSUPPORTED_MEDIA_TYPE


class Refused(NotReadable):
    """The request is refused before its body is read."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.words)
        self._refusal = refusal

    @property
    def refusal(self) -> Refusal:
        return self._refusal
