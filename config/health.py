"""The readiness of a server, with the details that operators see in `/readyz`."""

from __future__ import annotations

from typing import Any

from catchment.plugins.manager import PluginExtensions

from .database import Database
from .parts import VERSION, Http


class Health:
    """Renders the state of a server's parts. The server notes the drain and the lag of its event loop here."""

    def __init__(self, database: Database, http: Http, extensions: PluginExtensions) -> None:
        self._database = database
        self._http = http
        self._extensions = extensions
        self.draining = False
        self.lag = 0.0
        """Seconds that the event loop was late, at the last pulse."""

    def render(self) -> tuple[bool, dict[str, Any]]:
        """Return True if the server may take traffic, and the details."""
        checks, sink, projects = self._database.checks, self._database.sink, self._database.projects
        application = self._http.application
        refusal = str(checks.refusal) if checks.refusal is not None else None
        down = sink.down or refusal
        ready = down is None and projects.listening and not self.draining
        events, size = sink.queued
        return ready, {
            "version": VERSION,
            "draining": self.draining,
            "database": {
                **checks.durability,
                "timeline": checks.timeline,
                "down": down,
                "alert": sink.alert or refusal or checks.alert,
                "announcements": projects.listening,
            },
            "queue": {"events": events, "bytes": size, "oldest_seconds": round(sink.oldest, 3)},
            "scripts": self._http.tracker.versions,
            "untrusted_proxy": self._http.clients.untrusted_proxy,
            "requests_in_flight": application.in_flight,
            "connections": len(application.connections),
            "event_loop_lag_seconds": round(self.lag, 4),
            "plugins": [plugin.name for plugin in self._extensions.describe()],
        }
