"""Billing backends: the plugins that bill."""

from __future__ import annotations

from collections.abc import Sequence

from catchment.core.metering.usage import Usage

from .settings import Settings


class PluginBackends:
    """`catchment.core.metering.ports.BillingBackends` with the plugins of these settings.

    Plugins are loaded when one bills, and only that one is configured.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def bill(self, backend: str, usages: Sequence[Usage]) -> int:
        from .plugins import plugin_extensions

        extensions = plugin_extensions(self._settings)
        await extensions.configure(self._settings.plugins.sections, only=(backend,))
        try:
            return await extensions.bill(backend, usages)
        finally:
            await extensions.close()
