"""What the command line needs of the rest: functions, handed in by the composition root."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from datetime import date

    from catchment.core.accounts.administer import Administer
    from catchment.core.accounts.ports import ScriptArchive
    from catchment.core.accounts.scripts import Script
    from catchment.core.collecting.ports import LossLedger
    from catchment.core.metering.ports import UsageMeter
    from catchment.core.metering.usage import Usage


class PluginAbout(Protocol):
    """What is said of a plugin."""

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
        """By hook, the plugin's place among those that have it."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings it is given, without secrets."""

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


class UpkeepAbout(Protocol):
    """What maintenance did."""

    @property
    def partitions(self) -> tuple[str, ...]: ...
    @property
    def ids_forgotten(self) -> int: ...
    @property
    def misplaced(self) -> tuple[date, ...]: ...


class Upkeeping(Protocol):
    """Maintenance."""

    async def once(self) -> UpkeepAbout: ...
    async def place(self, month: date) -> int: ...


class Managed(Protocol):
    """The parts that commands work with, on a database at this version."""

    @property
    def administer(self) -> Administer: ...
    @property
    def meter(self) -> UsageMeter: ...
    @property
    def losses(self) -> LossLedger: ...
    @property
    def archive(self) -> ScriptArchive: ...
    @property
    def maintenance(self) -> Upkeeping: ...


class Actions(Protocol):
    """The actions of the commands. Errors that a person can mend are `CatchmentError`s; their notes name the database
    and the settings file."""

    @property
    def public_url(self) -> str: ...

    def script(self, name: str) -> Script:
        """The shipped script of this name. Raises `NotFound` where it was not built."""

    def shown_settings(self) -> dict[str, Any]:
        """Return the settings by section and key, secrets hidden; beside them `settings_file`, and `sources`: where
        each value comes from, by `section.key`."""

    def check(self) -> Sequence[FindingAbout]:
        """Return what can be known to be wrong before a server starts; starts and changes nothing."""

    def manage(self) -> AbstractAsyncContextManager[Managed]:
        """The management parts. Raises `Invalid` where the database is at another version."""

    def serve(
        self, *, host: str | None, port: int | None, workers: int | None, listening: Callable[[str, int, int], None]
    ) -> int:
        """Serves; `listening` is told the host, the port and the number of workers. The exit code."""

    def migrate(self, say: Callable[[str], None]) -> list[str]:
        """What was applied."""

    def plugins(self) -> Sequence[PluginAbout]: ...

    async def bill(self, managed: Managed, backend: str, usages: Sequence[Usage]) -> int:
        """How many the backend took."""

    def demo(self, *, host: str | None, port: int | None, site_port: int | None, say: Callable[[str], None]) -> int: ...

    def check_demo(self, say: Callable[[str], None]) -> dict[str, Any]:
        """What was found; raises `NotPossible` where something did not hold."""


ActionsOf = Callable[[str | None], Actions]
"""The actions under the settings of a file, or of none."""
