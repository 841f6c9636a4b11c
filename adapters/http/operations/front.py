"""`GET /`: a page for who opens this server in a browser. It is the same for everybody and tells no secret."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

from ..engine.message import Request, Response

_PAGE = Path(__file__).parent / "pages" / "front.html"
_STYLE = re.compile(rb"<style>(.*?)</style>", re.DOTALL)


async def page(request: Request) -> Response:
    """Answer with a page that says what this is, that it runs, and how to begin."""
    body, policy = _read()
    headers = (
        ("Content-Security-Policy", policy),
        ("Referrer-Policy", "no-referrer"),
        ("X-Frame-Options", "DENY"),
    )
    return Response(200, body, "text/html; charset=utf-8", headers)


@cache
def _read() -> tuple[bytes, str]:
    """The page, and a policy that lets it do nothing but wear its own style."""
    body = _PAGE.read_bytes()
    hashes = [base64.b64encode(hashlib.sha256(style).digest()).decode() for style in _STYLE.findall(body)]
    style = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return body, f"default-src 'none'; style-src {style}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
