"""Settings: built-in defaults, then the TOML file, then the environment.

``CATCHMENT_<SECTION>__<KEY>`` sets a key; names without ``__`` are ignored, since Kubernetes injects such. Unknown
keys and bad values are all named at once, each with what was given and where it comes from.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import platformdirs
from marshmallow import RAISE, Schema, ValidationError, fields, validate

from catchment.core.limits import Limits
from catchment.core.metering.plans import BadPlans, Plan, read_plans

from .fields import (
    EMBEDDED,
    Directory,
    Names,
    Network,
    Networks,
    check_database_url,
    check_host,
    check_public_url,
    number,
    rate,
    seconds,
    whole,
)
from .hiding import hide_secrets, looks_secret, without_password
from .sources import DEFAULT, DEFAULT_FILE, BadSettings, Given, read_given

__all__ = ["EMBEDDED", "BadSettings", "Settings", "load"]

TEN_SECONDS = 10


def _default_directory() -> Path:
    """Return the embedded database's folder. For root it is under /var/lib, which the database's user can reach."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/catchment/postgresql")
    path = Path(platformdirs.user_data_dir("catchment")) / "postgresql"
    return path if path.is_absolute() else Path("/var/lib/catchment/postgresql")  # a user without a home


def _private_networks() -> tuple[Network, ...]:
    names = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "169.254.0.0/16")
    return tuple(ipaddress.ip_network(name) for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    url: str = EMBEDDED
    """`embedded`, or a ``postgresql://`` address."""
    directory: Path = field(default_factory=_default_directory)
    """The embedded database's files."""
    writers: int = 2
    """Sessions of a worker that store events."""
    readers: int = 2
    """Sessions of a worker that look things up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    public_url: str = ""
    """The address that websites use; empty: the host and port."""
    trusted_proxies: tuple[Network, ...] = ()
    operator_networks: tuple[Network, ...] = field(default_factory=_private_networks)
    idle_seconds: float = 65.0
    """From one request of a connection to the next one's headers."""
    body_seconds: float = 20.0
    """For a request's body to come in."""
    drain_seconds: float = 15.0
    """For a worker to end without cutting a request."""
    receive_bytes: int = 256 * 1024 * 1024
    """Bodies that a worker receives at the same time, together; beyond it new ones are told to come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectSettings:
    deadline: float = 5.0
    """Seconds from the arrival to the answer."""
    queue_events: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024
    group_events: int = 500
    """Events in one commit, of several requests; one request is never split."""
    group_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSettings:
    """Events a second, by each process's own count; 0: no limit."""

    per_key: float = 0.0
    """Off: it stops the key's own visitors."""
    per_address: float = 1_000.0
    address_burst: float = 40_000.0
    """Events that an address may send at once; 0: ten seconds' worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSettings:
    disabled: tuple[str, ...] = ()
    trace: bool = False
    """Log every hook call."""
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Each plugin's own settings, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    collect: CollectSettings = field(default_factory=CollectSettings)
    limits: Limits = field(default_factory=Limits)
    rate: RateSettings = field(default_factory=RateSettings)
    plugins: PluginSettings = field(default_factory=PluginSettings)
    plans: Mapping[str, Plan] = field(default_factory=dict)
    """By name."""
    log_level: str = "info"
    file: Path | None = field(default=None, compare=False)
    """The settings file that was read."""
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    """The file or the environment variable of each value that was set, by `section.key`."""

    @property
    def file_words(self) -> str:
        """The settings file, for a message."""
        return f"settings: {self.file}" if self.file is not None else "no settings file"

    @property
    def database_words(self) -> str:
        """The database, for a message: no secret is in it."""
        if self.database.url == EMBEDDED:
            return f"embedded in {self.database.directory}"
        return without_password(self.database.url)

    def source(self, name: str) -> str:
        """Return where the value of `section.key` comes from: a file, a variable, or `default`."""
        return self.sources.get(name, DEFAULT)

    @property
    def public_url(self) -> str:
        if self.http.public_url:
            return self.http.public_url.rstrip("/")
        host = self.http.host if self.http.host not in ("", "0.0.0.0", "::", "127.0.0.1") else "localhost"  # noqa: S104
        return f"http://{host}:{self.http.port}"

    def shown(self) -> dict[str, Any]:
        """Return the settings as plain values, secrets hidden, with the file that was read and the source of each
        value."""
        shown = {
            "database": dataclasses.asdict(self.database),
            "http": dataclasses.asdict(self.http),
            "collect": dataclasses.asdict(self.collect),
            "limits": {
                **self.limits.by_name(),
                "rate_per_key": self.rate.per_key,
                "rate_per_address": self.rate.per_address,
                "burst_per_address": self.rate.address_burst or TEN_SECONDS * self.rate.per_address,
            },
            "plugins": {
                "disabled": self.plugins.disabled,
                "trace": self.plugins.trace,
                **{name: hide_secrets(section) for name, section in self.plugins.sections.items()},
            },
            "log": {"level": self.log_level},
            "plans": {name: {"quotas": [quota.given() for quota in plan.quotas]} for name, plan in self.plans.items()},
        }
        if self.database.url != EMBEDDED:
            shown["database"]["url"] = without_password(self.database.url)
        shown["http"]["public_url"] = self.public_url
        sources = {f"{section}.{name}": DEFAULT for section, values in shown.items() for name in values}
        for name in self.plugins.sections:
            del sources[f"plugins.{name}"]
        return {**_plain(shown), "settings_file": _plain(self.file), "sources": {**sources, **self.sources}}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


_TEN_YEARS = 10 * 365 * 86400
_MOST_OF = {
    **dict.fromkeys(("event_id", "loss_id", "loss_reason"), 500),  # a row of an index of PostgreSQL's holds no more
    "json_depth": 500,  # Python's own stack ends at a thousand
    "data_depth": 100,
    **dict.fromkeys(("browser_past", "future"), _TEN_YEARS),  # no calendar reaches further than the year 9999
}
"""The greatest values of limits; all others may be as large as a number of 31 bits."""
_FIELDS: dict[str, dict[str, fields.Field[Any]]] = {
    "database": {
        "url": fields.String(validate=check_database_url),
        "directory": Directory(),
        "writers": whole(1, 8),
        "readers": whole(1, 16),
    },
    "http": {
        "host": fields.String(validate=check_host),
        "port": whole(0, 65535),
        "workers": whole(1, 64),
        "public_url": fields.String(validate=check_public_url),
        "trusted_proxies": Networks(),
        "operator_networks": Networks(),
        "idle_seconds": seconds(),
        "body_seconds": seconds(),
        "drain_seconds": seconds(),
        "receive_bytes": whole(1),
    },
    "collect": {
        "deadline": seconds(0.2, 60),
        "queue_events": whole(1),
        "queue_bytes": whole(1),
        "group_events": whole(1),
        "group_bytes": whole(1),
    },
    "limits": {
        **{name: whole(1, _MOST_OF.get(name, 2**31 - 1)) for name in Limits().by_name()},
        "rate_per_key": rate(),
        "rate_per_address": rate(),
        "burst_per_address": number(0, 1e9),
    },
    "log": {"level": fields.String(validate=validate.OneOf(["debug", "info", "warning", "error"]))},
}
_PLUGIN_FIELDS: dict[str, fields.Field[Any]] = {"disabled": Names(), "trace": fields.Boolean()}


def load(config: str | None, environment: Mapping[str, str], *, default: Path = DEFAULT_FILE) -> Settings:
    """Return the settings. `config`: the TOML file, else CATCHMENT_CONFIG's, else `default` if it is there. Raises
    `BadSettings`."""
    given = read_given(config, environment, default)
    plans = _plans(given)
    checked = {section: _check(section, values, given) for section, values in given.values.items()}
    if given.problems:
        bad = BadSettings(sorted(given.problems))
        bad.add_note(given.file_words)
        raise bad
    limits = checked.get("limits", {})
    rate = _rate(limits)
    plugins = checked.get("plugins", {})
    own = {name: plugins.pop(name) for name in list(plugins) if name not in _PLUGIN_FIELDS}
    return Settings(
        database=DatabaseSettings(**checked.get("database", {})),
        http=HttpSettings(**checked.get("http", {})),
        collect=CollectSettings(**checked.get("collect", {})),
        limits=Limits.of(limits),
        rate=rate,
        plugins=PluginSettings(**plugins, sections=own),
        plans=plans,
        log_level=checked.get("log", {}).get("level", "info"),
        file=given.file,
        sources=given.sources,
    )


def _plans(given: Given) -> dict[str, Plan]:
    """Take the plans out of the settings."""
    section = given.values.pop("plans", {})
    if not isinstance(section, dict):
        given.problems.append(f"plans: expected a section for each plan ({given.source('plans')})")
        return {}
    try:
        return read_plans(section)
    except BadPlans as error:
        for path, words in error.mistakes.items():
            given.problems.append(f"{path}: {words} ({given.source('.'.join(path.split('.')[:2]))})")
        return {}


def _rate(limits: dict[str, Any]) -> RateSettings:
    """Take the rates out of the section. A rate that is set has a burst of ten seconds, unless that is set, too."""
    given = {
        name: limits.pop(key)
        for key, name in (
            ("rate_per_key", "per_key"),
            ("rate_per_address", "per_address"),
            ("burst_per_address", "address_burst"),
        )
        if key in limits
    }
    if "per_address" in given:
        given.setdefault("address_burst", 0.0)
    return RateSettings(**given)


def _check(section: str, values: Any, given: Given) -> dict[str, Any]:
    declared = _PLUGIN_FIELDS if section == "plugins" else _FIELDS.get(section)
    if declared is None:
        given.problems.append(
            f"{section}: there is no such section; there are {', '.join(sorted([*_FIELDS, 'plans', 'plugins']))} "
            f"({given.source(section)})"
        )
        return {}
    if not isinstance(values, dict):
        given.problems.append(f"{section}: expected a section, with keys of its own ({given.source(section)})")
        return {}
    own = {name: value for name, value in values.items() if section == "plugins" and isinstance(value, dict)}
    plain = {name: value for name, value in values.items() if name not in own}
    try:
        loaded = Schema.from_dict(declared)(unknown=RAISE).load(plain)
    except ValidationError as error:
        for name, what in error.normalized_messages().items():  # type: ignore[no-untyped-call]
            source = given.source(f"{section}.{name}")
            if name in declared:
                words = f"{_quoted(section, name, plain[name])}{_words(what)}"
            else:
                close = get_close_matches(str(name), declared, n=1)
                words = f"unknown field{f'; did you mean {close[0]}?' if close else ''}"
            given.problems.append(f"{section}.{name}: {words} ({source})")
        return {}
    return {**loaded, **own}


_QUOTED = 80


def _quoted(section: str, name: str, value: Any) -> str:
    """Return a bad value for a message. A database's address, and what looks as if it held a secret, is not
    repeated."""
    if (section, name) == ("database", "url") or isinstance(value, dict):
        return ""
    text = repr(value)
    if looks_secret(text):
        return ""
    return f"{text if len(text) <= _QUOTED else text[:_QUOTED] + '…'}: "


def _words(what: Any) -> str:
    if isinstance(what, dict):
        return "; ".join(_words(item) for item in what.values())
    return "; ".join(str(item).rstrip(".") for item in what)
