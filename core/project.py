"""The values of administration: accounts, projects with their settings, and keys."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum

from .origins import OriginRules

NO_ORIGINS = OriginRules()


class KeyKind(StrEnum):
    BROWSER = "browser"
    """`pk_…`: public, bound to the project's origins, may not set `ip` or an old time."""
    SERVER = "server"
    """`sk_…`: secret, for back ends, may set both."""


class Bots(StrEnum):
    FLAG = "flag"
    FILTER = "filter"


class DoNotTrack(StrEnum):
    IGNORE = "ignore"
    FILTER = "filter"


class Privacy(StrEnum):
    """The part of a visitor's address that is stored."""

    MASK = "mask"
    HASH = "hash"
    DROP = "drop"
    FULL = "full"


class Visitors(StrEnum):
    """The way in which events tell their visitors apart."""

    DAILY = "daily"
    """The visitor of the day: bytes that are the same for a day, and then never again."""
    NONE = "none"


class Scope(StrEnum):
    ACCOUNT = "account"
    PROJECT = "project"


class Window(StrEnum):
    """The time in which a quota counts: a month or a day in UTC."""

    MONTH = "month"
    DAY = "day"


MOST_EVENTS = 2**63 - 1
"""The largest quota: PostgreSQL's largest bigint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSettings:
    bots: Bots = Bots.FLAG
    do_not_track: DoNotTrack = DoNotTrack.IGNORE
    privacy: Privacy = Privacy.MASK
    visitors: Visitors = Visitors.DAILY
    allow_null_origin: bool = False
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChange:
    """A change of a project's settings. A setting that is None stays as it is."""

    bots: Bots | None = None
    do_not_track: DoNotTrack | None = None
    privacy: Privacy | None = None
    visitors: Visitors | None = None
    allow_null_origin: bool | None = None
    enabled: bool | None = None

    def of(self, settings: ProjectSettings) -> ProjectSettings:
        """Return these settings, changed."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        return replace(settings, **{name: value for name, value in given.items() if value is not None})


NO_CHANGE = SettingsChange()


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A website or app of an account."""

    id: str
    """A UUID."""
    account_id: str
    account: str
    """The account's name."""
    name: str
    origins: OriginRules = NO_ORIGINS
    settings: ProjectSettings = ProjectSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The project of a key, and the facts of the key itself."""

    project: Project
    kind: KeyKind
    revoked: bool = False
    vouchers: tuple[bytes, ...] = ()
    """With a browser key: the fingerprints of the newest valid server keys, which may sign event ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    id: str
    name: str
    plan: str | None = None
    """The plan of the settings whose quotas it was given; None: none."""
    demo: bool = False
    """The demo made it: it is never billed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as it is listed. Of a server key only the first characters are known."""

    id: str
    project_id: str
    kind: KeyKind
    text: str
    """The whole browser key, or the first characters of a server key."""
    label: str | None = None
    """A name for people."""
    created_at: datetime | None = None
    """None while it is being made."""
    revoked_at: datetime | None = None
    used_at: datetime | None = None
    """The time of the last request with it, to about a minute. None: there was none."""

    @property
    def revoked(self) -> bool:
        return self.revoked_at is not None
