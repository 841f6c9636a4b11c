"""The page of `GET /`."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from .serving import Site, check_common

pytestmark = pytest.mark.gen_test
ROOT = Path(__file__).parents[2]


async def test_the_front_is_a_page_that_may_do_nothing_but_wear_its_style(site: Site) -> None:
    answer = await site.ask("GET", "/")
    check_common(answer)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    [style] = re.findall(b"<style>(.*?)</style>", answer.body, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy.pop("style-src") == f"'sha256-{digest}'"
    assert set(policy) == {"default-src", "base-uri", "form-action", "frame-ancestors"}
    assert set(policy.values()) == {"'none'"}
    assert not re.search(rb" (style|on[a-z]+|src)=[^\"]|<(script|img|link|iframe)", answer.body)
    head = await site.ask("HEAD", "/")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(answer.body))


async def test_the_front_tells_strangers_nothing_and_leads_to_what_is_there(site: Site) -> None:
    text = (await site.ask("GET", "/")).body.decode()
    for secret in (version("catchment"), site.browser_key, "shop", "127.0.0.1", "collect.example"):
        assert secret not in text
    for path in re.findall(r'href="([^"]+)"', text):
        assert (await site.ask("GET", path)).status == 200
    docs = re.findall(r"<code>(docs/[^<]+)</code>", text)
    assert docs
    for path in docs:
        assert (ROOT / path).is_file()
