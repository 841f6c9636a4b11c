"""Commands that run servers and look after the database."""

from __future__ import annotations

import sys

import click

from catchment.core.maintenance import maintain
from catchment.core.times import period_text

from .context import Context, command
from .output import Output


def add_operations(root: click.Group) -> None:
    @command(root, "serve")
    @click.option("--host", help="The address to listen on; 0.0.0.0 is all.")
    @click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 is any free one.")
    @click.option("--workers", type=click.IntRange(1, 64), help="Processes that share the socket.")
    def serve(context: Context, output: Output, host: str | None, port: int | None, workers: int | None) -> None:
        """Collect events over HTTP.

        Ends on SIGTERM or Ctrl-C without cutting a request. The settings are read once, at the start.
        """

        def listening(host: str, port: int, workers: int) -> None:
            if output.as_json:
                output.document({"host": host, "port": port, "workers": workers}, "")
            elif sys.stderr is not None and sys.stderr.isatty():  # the log says it otherwise
                output.say(f"Listening on {host}:{port}, {workers} worker(s). Ctrl-C ends it.")

        sys.exit(context.actions.serve(host=host, port=port, workers=workers, listening=listening))

    @command(root, "migrate")
    def migrate(context: Context, output: Output) -> None:
        """Bring the database to this version. A second run changes nothing."""
        applied = context.actions.migrate(lambda name: output.say(f"applying {name}"))
        words = f"Applied {len(applied)} migration(s)." if applied else "The database is at this version already."
        output.document({"applied": applied}, words)

    @command(root, "maintain")
    def maintain_now(context: Context, output: Output) -> None:
        """Do now what servers do every hour, and put events into their month's partition.

        Makes partitions three months ahead, forgets ids of over 32 days, and moves events that had to go into the
        default partition; servers wait while those of a month are moved.
        """
        with output.waiting("partitions, ids that are old, events in the default partition"):
            done = context.run(lambda management: maintain(management.maintenance))
        moved = {period_text(month): events for month, events in done.moved.items()}
        document = {"partitions": list(done.partitions), "ids_forgotten": done.ids_forgotten, "moved": moved}
        lines = [f"made {name}" for name in done.partitions]
        lines += [f"moved {events:,} events of {month}" for month, events in moved.items()]
        lines.append(f"forgot {done.ids_forgotten:,} ids")
        output.document(document, "\n".join(lines))

    @command(root, "demo")
    @click.option("--host", help="The address to listen on.")
    @click.option("--port", type=click.IntRange(0, 65535), help="The collector's port.")
    @click.option("--site-port", type=click.IntRange(0, 65535), help="The demo website's port.")
    @click.option("--check", is_flag=True, help="Run and verify everything without a person, and leave nothing behind.")
    @click.option("--remove", is_flag=True, help="Take away what the demo made and stored, and end.")
    def demo(
        context: Context,
        output: Output,
        host: str | None,
        port: int | None,
        site_port: int | None,
        check: bool,
        remove: bool,
    ) -> None:
        """Show the main job: a server, and a small website whose pages post events to it.

        Prints a curl to try, and a line for each receipt as it is committed. It works on the database of the settings
        (embedded unless told otherwise), in an account `demo` that is never billed.

        --check is a good first test of a database: it makes an account of its own there, verifies what comes back, and
        takes everything away again, also if it fails or is interrupted.
        """
        if check:
            found = context.actions.check_demo(output.say)
            output.document(found, "All of it holds.")
        elif remove:
            gone = context.run(lambda management: management.administer.remove_demo("demo"))
            output.document({"id": gone.id, "name": gone.name, "deleted": True}, "The demo is gone.")
        else:
            say = output.say if output.as_json else click.echo
            sys.exit(context.actions.demo(host=host, port=port, site_port=site_port, say=say))
