"""The functions behind the commands. Each imports what it needs, so that a command that needs little starts quickly."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from catchment.core.errors import CatchmentError, Invalid, NotFound

from .settings import EMBEDDED, Settings

if TYPE_CHECKING:
    from catchment.adapters.cli.actions import Management, Tag
    from catchment.core.accounts.scripts import Script

    from .checking import Finding
    from .plugins import PluginState


class SettingsActions:
    """`catchment.adapters.cli.actions.Actions` under these settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Note on errors which database and settings they are about."""
        try:
            yield
        except CatchmentError as error:
            notes = (f"database: {self._settings.database_words}", self._settings.file_words)
            for note in notes:
                if note not in getattr(error, "__notes__", ()):
                    error.add_note(note)
            raise

    def tag(self, name: str, key: str, script: Script | None = None) -> Tag:
        from catchment.adapters.cli.actions import Tag
        from catchment.adapters.http.tracker.tag import short_path, tag, versioned_path

        src = self._settings.public_url + (short_path(name) if script is None else versioned_path(script))
        return Tag(src=src, html=tag(src, key, None if script is None else script.integrity))

    def script(self, name: str) -> Script:
        from catchment.adapters.http.tracker.handing_out import MISSING, shipped_scripts

        found = shipped_scripts().get(name)
        if found is None:
            raise NotFound(MISSING)
        return found

    def shown_settings(self) -> dict[str, Any]:
        return self._settings.shown()

    def check(self) -> Sequence[Finding]:
        from .checking import run_checks

        return run_checks(self._settings)

    def _dsn(self, *, make: bool) -> str:
        """Return the database's address. An embedded one is started; if there is none, one is made if `make`, which
        is said on standard error. Raises `Invalid`."""
        if self._settings.database.url != EMBEDDED:
            return self._settings.database.url
        from catchment.adapters.postgres.embedded import embedded_exists, start_embedded

        directory = self._settings.database.directory
        there = embedded_exists(directory)
        if not there and not make:
            raise Invalid(
                f"there is no embedded database in {directory}: `catchment serve` and `catchment demo` make one. If "
                "yours is elsewhere, name your settings file (--config, CATCHMENT_CONFIG), or set database.url or "
                "database.directory"
            )
        dsn = start_embedded(directory)
        if not there:
            with suppress(OSError):  # a full disk behind it stops nothing
                print(f"new embedded database in {directory}", file=sys.stderr, flush=True)
        return dsn

    def _current_dsn(self, *, make: bool = False) -> str:
        """Return the address of a database that is at this version; an embedded one is brought to it by itself. Raises
        `Invalid`, naming the command that helps."""
        from catchment.adapters.postgres.schema import schema_status

        dsn = self._dsn(make=make)
        status = schema_status(dsn)
        if status.missing and not status.unknown and self._settings.database.url == EMBEDDED:
            from catchment.adapters.postgres.migrate import migrate

            migrate(dsn)
            return dsn
        if status.unknown:
            raise Invalid(
                f"the database is at a later version than this Catchment ({', '.join(status.unknown)}): "
                "install that version"
            )
        if status.missing:
            raise Invalid(
                f"the database is {len(status.missing)} migration(s) behind this Catchment: run `catchment migrate`"
            )
        return dsn

    @asynccontextmanager
    async def management(self) -> AsyncIterator[Management]:
        from .management import open_management

        with self._named():
            async with open_management(self._settings, self._current_dsn()) as management:
                yield management

    def migrate(self, say: Callable[[str], None]) -> list[str]:
        import asyncio

        from catchment.adapters.postgres.migrate import migrate

        from .database import refuse_shared_sessions

        with self._named():
            dsn = self._dsn(make=False)
            asyncio.run(refuse_shared_sessions(dsn))
            return migrate(dsn, said=say)

    def serve(
        self, *, host: str | None, port: int | None, workers: int | None, listening: Callable[[str, int, int], None]
    ) -> int:
        given = {"host": host, "port": port, "workers": workers}
        chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        settings = replace(self._settings, http=replace(self._settings.http, **chosen))
        from . import logs, running

        running.prepare()
        logs.configure(settings.log_level)
        count = settings.http.workers

        def listens(host: str, port: int) -> None:
            logs.starting(
                f"Listening on {host}:{port}, {count} worker(s)",
                version=version("catchment"),
                settings_file=str(settings.file) if settings.file is not None else None,
                database=settings.database_words,
            )
            listening(host, port, count)

        with self._named():
            return running.serve(settings, self._current_dsn(make=True), listens)

    def plugins(self) -> Sequence[PluginState]:
        from .plugins import list_plugins

        return list_plugins(self._settings)

    def demo(self, *, host: str | None, port: int | None, site_port: int | None, say: Callable[[str], None]) -> int:
        chosen: dict[str, Any] = {k: v for k, v in {"host": host, "port": port}.items() if v is not None}
        settings = replace(self._settings, http=replace(self._settings.http, **chosen))
        from . import demo, logs

        logs.configure("error")
        say("Starting the database …")
        with self._named():
            return demo.run(settings, self._current_dsn(make=True), site_port, say)

    def check_demo(self, say: Callable[[str], None]) -> dict[str, Any]:
        from . import demo, logs

        logs.configure("error")
        say("Starting the database …")
        with self._named():
            return demo.check(self._settings, self._current_dsn(make=True), say)
