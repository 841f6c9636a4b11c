"""The shipped plugin that reads campaign parameters (``utm_…``) out of the page's address.

Percent-encoded UTF-8, ``+`` is a blank, the first of a name that is not empty counts, 200 characters are kept.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from catchment.core.check import clean
from catchment.core.remembering import remember_short

from ..hooks import Campaign, Enrichment, Event, hookimpl

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
        if url is None or _PREFIX not in url:
            return None
        return _campaign(url.partition("#")[0].partition("?")[2])


def _read_campaign(query: str) -> Enrichment | None:
    try:
        fields = parse_qsl(query, max_num_fields=_FIELDS)
    except ValueError:
        return None
    found: dict[str, str] = {}
    for name, value in fields:
        value = clean(value.strip()[:_KEPT])
        if value and name.startswith(_PREFIX) and name[len(_PREFIX) :] in _NAMES:
            found.setdefault(name[len(_PREFIX) :], value)
    return Enrichment(campaign=Campaign(**found)) if found else None


_campaign = remember_short(_read_campaign, entries=_REMEMBERED)


plugin = Campaigns()
