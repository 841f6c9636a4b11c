"""What a website puts on its pages."""

from __future__ import annotations

import json

_SNIPPET = """<script>
  function catchment(name, data) {{
    return fetch({url}, {{
      method: "POST", keepalive: true, credentials: "omit", headers: {{"Content-Type": "text/plain"}},
      body: JSON.stringify({{projectKey: {key}, event_name: name, event_data: data || {{}},
        url: location.href, page_title: document.title, referrer: document.referrer, eventId: crypto.randomUUID?.()}})
    }});
  }}
  catchment("PageView");
</script>"""


def snippet(public_url: str, browser_key: str) -> str:
    """The lines that make a page post a page view, and give it ``catchment(name, data)``."""
    return _SNIPPET.format(url=json.dumps(f"{public_url}/v1/events"), key=json.dumps(browser_key))
