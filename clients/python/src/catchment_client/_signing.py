"""Signatures of event ids, for a mail's picture."""

from __future__ import annotations

import hmac
from hashlib import sha256

from ._settings import read_key


def sign_event_id(event_id: str, key: str) -> str:
    """The signature that goes beside `e` into the address of a picture (``&s=…``), made with a server key.

    Nobody who has the browser key alone can make it, so nobody else can take the id, or ask whether it was opened.
    Raises `ConfigurationError` for a key that can't be right.
    """
    return hmac.new(sha256(read_key(key).encode()).digest(), event_id.encode(), sha256).hexdigest()
