"""Hides the secrets in settings that are shown. A secret is hidden completely."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from psycopg2 import ProgrammingError
from psycopg2.extensions import parse_dsn

HIDDEN = "********"

_SECRET_WORDS = (
    *("password", "passwd", "passphrase", "pwd", "secret", "token", "key", "credential", "auth", "bearer"),
    *("cookie", "private", "salt", "signature", "webhook", "dsn"),
)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#]*)(.*)", re.DOTALL)
_LOOKS_SECRET = re.compile(r"\S:\S*@|(?:pass\w*|pwd|secret|token|key|bearer)\s*[=:]\s*\S|bearer\s+\S", re.IGNORECASE)

# Parameters of a connection that are not secret. All others are hidden: each version of libpq has new ones.
_PLAIN_PARAMETERS = frozenset(
    {
        *("host", "hostaddr", "port", "dbname", "user", "service", "application_name", "fallback_application_name"),
        *("connect_timeout", "client_encoding", "target_session_attrs", "load_balance_hosts"),
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
        *("sslmode", "sslnegotiation", "sslcompression", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir"),
        *("sslsni", "sslcertmode", "ssl_min_protocol_version", "ssl_max_protocol_version", "channel_binding"),
        *("require_auth", "requirepeer", "krbsrvname", "gssencmode", "gsslib", "gssdelegation", "passfile"),
    }
)


def hide_secrets(value: Any) -> Any:
    """Return a plugin's settings, on all levels, without values that are named like a secret or look like one."""
    if isinstance(value, Mapping):
        return {name: HIDDEN if _names_secret(name) else hide_secrets(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [hide_secrets(item) for item in value]
    return _hide_in_text(value) if isinstance(value, str) else value


def looks_secret(text: str) -> bool:
    """Return True if a text may hold a secret."""
    return "@" in text or _LOOKS_SECRET.search(text) is not None


def _names_secret(name: object) -> bool:
    return any(word in str(name).lower() for word in _SECRET_WORDS)


def _hide_in_text(text: str) -> str:
    """Return a text; for an address only its scheme and host, because its path can be the secret of a webhook."""
    url = _URL.fullmatch(text)
    if url is None:
        return HIDDEN if _LOOKS_SECRET.search(text) else text
    scheme, authority, rest = url.groups()
    user, at, host = authority.rpartition("@")
    if "@" in user or "@" in rest:
        return scheme + HIDDEN  # a raw @ in a password: the beginning of the host is not clear
    return f"{scheme}{HIDDEN + at if at else ''}{host}{'/' + HIDDEN if rest.strip('/') else rest}"


def without_password(url: str) -> str:
    """Return a database's address without its secrets. If it can't be read, hide all of it."""
    try:
        given = parse_dsn(url)
    except ProgrammingError:
        return HIDDEN
    parts = {name: str(value) if name in _PLAIN_PARAMETERS else HIDDEN for name, value in given.items()}
    if "=" in parts.get("dbname", ""):
        parts["dbname"] = HIDDEN  # PostgreSQL's library would read parameters in it
    user = ":".join(_encoded(parts.pop(name)) for name in ("user", "password") if name in parts)
    hosts, ports, database = (parts.pop(name, "") for name in ("host", "port", "dbname"))
    options = [f"{name}={_encoded(value)}" for name, value in parts.items()]
    if hosts.startswith(("/", "@")):
        options.insert(0, f"host={hosts}")
        if ports:
            options.append(f"port={ports}")
        place = f"/{_encoded(database)}"
    else:
        place = f"{_places(hosts, ports)}/{_encoded(database)}"
    return f"postgresql://{user + '@' if user else ''}{place}{'?' + '&'.join(options) if options else ''}"


def _encoded(text: str) -> str:
    return quote(text, safe="*")


def _places(hosts: str, ports: str) -> str:
    names = [f"[{host}]" if ":" in host else host for host in hosts.split(",")]
    numbers = ports.split(",") if ports else []
    if len(numbers) == 1:
        numbers *= len(names)
    numbers += [""] * (len(names) - len(numbers))
    return ",".join(f"{name}:{number}" if number else name for name, number in zip(names, numbers, strict=False))
