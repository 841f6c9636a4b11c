"""The shipped plugin that reads campaign parameters (``utm_…``) out of the page's address.

Percent-encoded UTF-8, ``+`` is a blank, the first of a name that is not empty counts, 200 characters are kept. The case
of a name does not count, and neither does an ``amp;`` before it, which mail programs leave there. A query behind ``#``
(``#/page?utm_source=x``, ``#utm_source=x``) is read if the address has no campaign before it.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from ..hooks import Campaign, Enrichment, Event, clean, hookimpl, remember_short

_REMEMBERED = 2_000
"""Queries whose campaign is kept, a process."""
_FIELDS = 1_000
"""A query of more fields is not read."""
_KEPT = 200
"""Characters of a value."""
_PREFIX = "utm_"
_NAMES = ("source", "medium", "campaign", "term", "content")


class Campaigns:
    """Adds first: what any other plugin says of the campaign wins."""

    @hookimpl(tryfirst=True)
    def catchment_enrich(self, event: Event) -> Enrichment | None:
        url = event.url
        # A name could be written with %75 for its u, but nobody does, and this is asked of every event.
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
