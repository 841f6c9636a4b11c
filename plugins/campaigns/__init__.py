"""The shipped plugin that reads campaign parameters (``utm_…``) from the page's address.

Values are percent-encoded UTF-8, and ``+`` is a blank. If a name is repeated, its first value that is not empty counts.
200 characters of a value are kept. The case of a name does not matter. An ``amp;`` before a name, which mail programs
leave there, is ignored. A query after ``#`` (``#/page?utm_source=x``, ``#utm_source=x``) is read if there is no
campaign before it.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from ..hooks import Campaign, Enrichment, Event, clean, hookimpl, remember_short

_REMEMBERED = 2_000
"""Queries whose campaign each process caches."""
_FIELDS = 1_000
"""A query with more fields is not read."""
_KEPT = 200
"""Characters of a value."""
_PREFIX = "utm_"
_NAMES = ("source", "medium", "campaign", "term", "content")


class Campaigns:
    """Sets the campaign. It is called first, so any other plugin overrides it."""

    @hookimpl(tryfirst=True)
    def catchment_enrich(self, event: Event) -> Enrichment | None:
        url = event.url
        # A name could have %75 for its u, but nobody writes that, and this check runs for every event.
        if url is None or (_PREFIX not in url and _PREFIX not in url.lower()):
            return None
        page, _, fragment = url.partition("#")
        return _campaign(page.partition("?")[2]) or _campaign(fragment.partition("?")[2] or fragment)


def _read_campaign(query: str) -> Enrichment | None:
    try:
        fields = parse_qsl(query, max_num_fields=_FIELDS)
    except ValueError:
        return None
    found: dict[str, str] = {}
    for name, value in fields:
        value, name = clean(value.strip()[:_KEPT]), name.lower().removeprefix("amp;")
        if value and name.startswith(_PREFIX) and name[len(_PREFIX) :] in _NAMES:
            found.setdefault(name[len(_PREFIX) :], value)
    return Enrichment(campaign=Campaign(**found)) if found else None


_campaign = remember_short(_read_campaign, entries=_REMEMBERED)


plugin = Campaigns()
