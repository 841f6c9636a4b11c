"""The functions that the command line needs, and their results. The composition root passes them in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from catchment.core.accounts.administer import Administer
    from catchment.core.accounts.scripts import Script
    from catchment.core.accounts.snippets import Snippets
    from catchment.core.maintenance import Maintenance
    from catchment.core.metering.billing import Billing
    from catchment.core.metering.quotas import Quotas
    from catchment.core.metering.replaying import Inbox
    from catchment.core.metering.reports import Reports


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A script tag for a website."""

    src: str
    """The complete address of the script."""
    html: str


class PluginAbout(Protocol):
    """The description of a plugin."""

    @property
    def name(self) -> str: ...
    @property
    def distribution(self) -> str | None: ...
    @property
    def version(self) -> str | None: ...
    @property
    def module(self) -> str | None: ...
    @property
    def hooks(self) -> tuple[str, ...]: ...
    @property
    def state(self) -> str:
        """`loaded`, `disabled` or `failed`."""

    @property
    def order(self) -> Mapping[str, int]:
        """By hook: the plugin's place in the order of calls."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """The plugin's settings, without secrets."""

    @property
    def problems(self) -> tuple[str, ...]: ...


class FindingAbout(Protocol):
    """A result of checking the installation."""

    @property
    def name(self) -> str: ...
    @property
    def level(self) -> str:
        """`ok`, `warn` or `fail`."""

    @property
    def message(self) -> str: ...
    @property
    def advice(self) -> str:
        """The advice: what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Management:
    """The use cases behind the commands, on a database at this version."""

    administer: Administer
    snippets: Snippets
    quotas: Quotas
    reports: Reports
    inbox: Inbox
    billing: Billing
    maintenance: Maintenance


class Actions(Protocol):
    """The actions of the commands. Errors that a person can fix are `CatchmentError`s. Their notes name the database
    and the settings file."""

    def tag(self, name: str, key: str, script: Script | None = None) -> Tag:
        """Return the tag that loads the script of this name from the installation's public address; the version
        `script` if it is given, else the shipped one."""

    def script(self, name: str) -> Script:
        """Return the shipped script of this name. Raise `NotFound` if it was not built."""

    def shown_settings(self) -> dict[str, Any]:
        """Return the settings by section and key, with hidden secrets; and `settings_file`, and `sources`: the source
        of each value, by `section.key`."""

    def check(self) -> Sequence[FindingAbout]:
        """Return the mistakes that can be found before a server starts. It starts and changes nothing."""

    def management(self) -> AbstractAsyncContextManager[Management]:
        """Return the use cases. Raise `Invalid` if the database is at another version."""

    def serve(
        self, *, host: str | None, port: int | None, workers: int | None, listening: Callable[[str, int, int], None]
    ) -> int:
        """Serve, and return the exit code. `listening` gets the host, the port and the number of workers."""

    def migrate(self, say: Callable[[str], None]) -> list[str]:
        """Return the names of the applied migrations."""

    def plugins(self) -> Sequence[PluginAbout]: ...

    def demo(self, *, host: str | None, port: int | None, site_port: int | None, say: Callable[[str], None]) -> int: ...

    def check_demo(self, say: Callable[[str], None]) -> dict[str, Any]:
        """Return the results. Raise `NotPossible` if a check failed."""


ActionsOf = Callable[[str | None], Actions]
"""Return the actions with the settings of a file, or of none."""
