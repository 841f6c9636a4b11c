"""The exceptions of the plugin system, beside those of the core.

::

    NotPossible
    ├── Invalid
    │   ├── PluginSettingsError   raised by a plugin: its settings are bad
    │   └── Misconfigured
    │       └── PluginErrors      plugins can't be loaded or configured, each with its own line
    ├── NotFound
    │   └── UnknownBackend        no plugin of that name bills
    └── BillingFailed             a billing backend stopped; the usages before that are kept

An exception that a plugin raises while an event is collected is none of these. Then only the plugin's own part is
missing: see `catchment.plugins.manager`.
"""

from __future__ import annotations

from collections.abc import Sequence

from catchment.core.errors import Invalid, Misconfigured, NotFound, NotPossible


class PluginSettingsError(Invalid):
    """A plugin's settings are bad. Its text is one line for the operator: which key, what is wrong, what to do."""


class PluginErrors(Misconfigured):
    """Plugins can't be used. `errors` has one line for each mistake, with the plugin's name. `raised` has the
    exceptions of the plugins themselves."""

    def __init__(self, errors: Sequence[str], raised: Sequence[BaseException] = ()) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)
        self.raised = tuple(raised)


class UnknownBackend(NotFound):
    """No plugin of that name bills."""


class BillingFailed(NotPossible):
    """A billing backend did not take a usage. It has the usages before that one. Pushing all of them again is safe."""
