"""Signatures of event ids, for a mail's picture."""

from __future__ import annotations

import hmac
from hashlib import sha256

from ._settings import read_key


def sign_event_id(event_id: str, key: str) -> str:
    """Return the signature of an event id, for the address of a picture (``&s=…`` beside `e`), made with a server key.

    It can't be made with the browser key alone, so nobody else can take the id, or ask if the mail was opened.
    Raises `ConfigurationError` if the key can't be right.
    """
    return hmac.new(sha256(read_key(key).encode()).digest(), event_id.encode(), sha256).hexdigest()
