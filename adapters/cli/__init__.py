"""The command line, on click. A command reads its arguments, calls one use case, and prints the result.

- `commands`: all commands together. By subject: `accounts`, `projects`, `keys`, `quotas`, `metering` (usage, losses,
  audit, billing), `inbox`, `operations` (serve, migrate, maintain, demo), `installation` (plugins, settings).
- `actions`: the use cases and functions that the composition root passes in. `context`: the context of a command.
- `output` and `tables` print results, `failures` prints errors, `advice` adds the command that helps, `hints` says
  what to do about refused events.
- `demo`: the words of the demo.
"""
