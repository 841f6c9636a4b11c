"""Settings: built-in defaults, then the TOML file, then the environment.

``CATCHMENT_<SECTION>__<KEY>`` sets a key; names without ``__`` are ignored, since Kubernetes injects such. Unknown
keys and bad values are all named at once.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs
from marshmallow import RAISE, Schema, ValidationError, fields, validate
from psycopg2 import ProgrammingError
from psycopg2.extensions import parse_dsn

from catchment.core.errors import Misconfigured
from catchment.core.limits import Limits
from catchment.core.privacy import read_network

EMBEDDED = "embedded"
_PREFIX = "CATCHMENT_"
_HIDDEN = "********"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class BadSettings(Misconfigured):
    """Settings that can't be: a line for each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def _default_directory() -> Path:
    """Where the embedded database lives: of root under /var/lib, since its user must be able to get there."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/catchment/postgresql")
    return Path(platformdirs.user_data_dir("catchment")) / "postgresql"


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
    """What websites reach; empty: the host and port."""
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
    per_address: float = 0.0


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
    log_level: str = "info"

    @property
    def public_url(self) -> str:
        if self.http.public_url:
            return self.http.public_url.rstrip("/")
        host = self.http.host if self.http.host not in ("", "0.0.0.0", "::", "127.0.0.1") else "localhost"  # noqa: S104
        return f"http://{host}:{self.http.port}"

    def shown(self) -> dict[str, Any]:
        """The settings as plain values, secrets hidden."""
        shown = {
            "database": dataclasses.asdict(self.database),
            "http": dataclasses.asdict(self.http),
            "collect": dataclasses.asdict(self.collect),
            "limits": {
                **dataclasses.asdict(self.limits),
                "rate_per_key": self.rate.per_key,
                "rate_per_address": self.rate.per_address,
            },
            "plugins": {
                "disabled": self.plugins.disabled,
                "trace": self.plugins.trace,
                **{name: _hide(section) for name, section in self.plugins.sections.items()},
            },
            "log": {"level": self.log_level},
        }
        shown["database"]["url"] = _without_password(self.database.url)
        shown["http"]["public_url"] = self.public_url
        plain: dict[str, Any] = _plain(shown)
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


_SECRET = ("password", "secret", "token", "key")


def _hide(value: Any) -> Any:
    """A plugin's settings, all levels of them, without what is called a secret."""
    if isinstance(value, Mapping):
        secret = {name: any(word in str(name).lower() for word in _SECRET) for name in value}
        return {name: _HIDDEN if secret[name] else _hide(item) for name, item in value.items()}
    return [_hide(item) for item in value] if isinstance(value, list | tuple) else value


def _without_password(url: str) -> str:
    if url == EMBEDDED:
        return url
    parts = {name: _HIDDEN if "pass" in name else str(value) for name, value in parse_dsn(url).items()}
    user = ":".join(parts.pop(name) for name in ("user", "password") if name in parts)
    rest = "&".join(f"{name}={value}" for name, value in parts.items() if name not in ("host", "port", "dbname"))
    hosts = parts.get("host", "")
    place = f"{hosts}{':' + parts['port'] if 'port' in parts else ''}/{parts.get('dbname', '')}"
    if hosts.startswith("/"):
        place, rest = f"/{parts.get('dbname', '')}", "&".join(filter(None, (f"host={hosts}", rest)))
    return f"postgresql://{user + '@' if user else ''}{place}{'?' + rest if rest else ''}"


# The schema that judges what is given


class _Whole(fields.Integer):
    """A whole number: in TOML a number, in the environment its digits; never the half of one."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool | float):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class _Names(fields.Field[tuple[Any, ...]]):
    """A list, in TOML an array, in the environment separated by commas."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[Any, ...]:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise ValidationError("expected a list of texts")
        return tuple(self._read(item.strip()) for item in items if item.strip())

    def _read(self, item: str) -> Any:
        return item


class _Networks(_Names):
    def _read(self, item: str) -> Network:
        try:
            return read_network(item)
        except ValueError:
            raise ValidationError(f"{item!r} is not a network, such as 10.0.0.0/8") from None


class _Directory(fields.Field[Path]):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Path:
        if not isinstance(value, str) or not value.strip():
            raise ValidationError("expected the path of a folder")
        return Path(value).expanduser()


def _database_url(value: str) -> None:
    if value == EMBEDDED:
        return
    try:
        parse_dsn(value)
    except ProgrammingError:
        raise ValidationError("expected `embedded` or a postgresql:// address") from None
    if not value.startswith(("postgresql://", "postgres://")):
        raise ValidationError("expected `embedded` or a postgresql:// address")


def _whole(least: int, most: int | None = None) -> fields.Integer:
    return _Whole(validate=validate.Range(min=least, max=most))


def _seconds() -> fields.Float:
    return fields.Float(validate=validate.Range(min=0.1, max=600))


_FIELDS: dict[str, dict[str, fields.Field[Any]]] = {
    "database": {
        "url": fields.String(validate=_database_url),
        "directory": _Directory(),
        "writers": _whole(1, 8),
        "readers": _whole(1, 16),
    },
    "http": {
        "host": fields.String(),
        "port": _whole(0, 65535),
        "workers": _whole(1, 64),
        "public_url": fields.Url(schemes={"http", "https"}, require_tld=False),
        "trusted_proxies": _Networks(),
        "operator_networks": _Networks(),
        "idle_seconds": _seconds(),
        "body_seconds": _seconds(),
        "drain_seconds": _seconds(),
        "receive_bytes": _whole(1),
    },
    "collect": {
        "deadline": fields.Float(validate=validate.Range(min=0.2, max=60)),
        "queue_events": _whole(1),
        "queue_bytes": _whole(1),
        "group_events": _whole(1),
        "group_bytes": _whole(1),
    },
    "limits": {
        **{limit.name: _whole(1) for limit in dataclasses.fields(Limits)},
        "rate_per_key": fields.Float(validate=validate.Range(min=0)),
        "rate_per_address": fields.Float(validate=validate.Range(min=0)),
    },
    "log": {"level": fields.String(validate=validate.OneOf(["debug", "info", "warning", "error"]))},
}
_PLUGIN_FIELDS: dict[str, fields.Field[Any]] = {"disabled": _Names(), "trace": fields.Boolean()}


def load(config: str | None, environment: Mapping[str, str]) -> Settings:
    """The settings. `config`: the TOML file, else `CATCHMENT_CONFIG`'s, else none. Raises `BadSettings`."""
    path = config or environment.get("CATCHMENT_CONFIG")
    given = _from_file(Path(path)) if path else {}
    problems: list[str] = []
    _add_environment(given, environment, problems)
    checked = {section: _check(section, values, problems) for section, values in given.items()}
    if problems:
        raise BadSettings(sorted(problems))
    limits = checked.get("limits", {})
    rate = RateSettings(
        per_key=limits.pop("rate_per_key", 0.0),
        per_address=limits.pop("rate_per_address", 0.0),
    )
    plugins = checked.get("plugins", {})
    own = {name: plugins.pop(name) for name in list(plugins) if name not in _PLUGIN_FIELDS}
    return Settings(
        database=DatabaseSettings(**checked.get("database", {})),
        http=HttpSettings(**checked.get("http", {})),
        collect=CollectSettings(**checked.get("collect", {})),
        limits=Limits(**limits),
        rate=rate,
        plugins=PluginSettings(**plugins, sections=own),
        log_level=checked.get("log", {}).get("level", "info"),
    )


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSettings([f"{path}: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings([f"{path}: not TOML: {error}"]) from None


def _add_environment(given: dict[str, Any], environment: Mapping[str, str], problems: list[str]) -> None:
    for name, value in environment.items():
        section, separator, key = name.removeprefix(_PREFIX).lower().partition("__")
        if not name.startswith(_PREFIX) or not separator:
            continue
        values = given.setdefault(section, {})
        plugin, separator, own_key = key.partition("__")
        if separator and section == "plugins" and isinstance(values, dict):
            values, key = values.setdefault(plugin, {}), own_key
        if isinstance(values, dict):
            values[key] = value
        else:
            problems.append(f"{name}: {section} is not a section")


def _check(section: str, values: Any, problems: list[str]) -> dict[str, Any]:
    declared = _PLUGIN_FIELDS if section == "plugins" else _FIELDS.get(section)
    if declared is None:
        problems.append(f"{section}: there is no such section; there are {', '.join(sorted([*_FIELDS, 'plugins']))}")
        return {}
    if not isinstance(values, dict):
        problems.append(f"{section}: expected a section, with keys of its own")
        return {}
    own = {name: value for name, value in values.items() if section == "plugins" and isinstance(value, dict)}
    plain = {name: value for name, value in values.items() if name not in own}
    try:
        loaded = Schema.from_dict(declared)(unknown=RAISE).load(plain)
    except ValidationError as error:
        for name, what in error.normalized_messages().items():  # type: ignore[no-untyped-call]
            problems.append(f"{section}.{name}: {_words(what)}")
        return {}
    return {**loaded, **own}


def _words(what: Any) -> str:
    if isinstance(what, dict):
        return "; ".join(_words(item) for item in what.values())
    return "; ".join(
        str(item).rstrip(".").lower() if item == "Unknown field." else str(item).rstrip(".") for item in what
    )
