"""The words of the demo for a person who looks on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click

from catchment.core.collecting.submission import Answer, Receipt
from catchment.core.outcomes import Outcome
from catchment.core.plain import plain
from catchment.core.refusals import OriginPlace, Refusal


def introduce(
    say: Callable[[str], None],
    *,
    address: str,
    site: str,
    curl: str,
    missing: Mapping[str, str],
    project: str,
    program: str,
    has_variables: bool,
) -> None:
    """Say where the collector and its website are, and what to try.

    `missing`: by name, the scripts that were not built, and what to do. `program`: the command that starts this
    program. `has_variables`: settings come from the environment, too.
    """
    say(click.style("\nCatchment collects.", bold=True) + f"  {address}")
    say(f"A website that posts to it: {click.style(site, underline=True)}")
    say("\nOr post an event by hand, in another terminal. Again, it is a duplicate:\n")
    say(curl)
    for name, advice in missing.items():
        say(click.style(f"/{name}.js is missing, and the website posts nothing: {advice}\n", fg="yellow"))
    say("\nThen, in another terminal too:\n")
    say(f"{program} usage --project {project}")
    say(f"{program} audit")
    if has_variables:
        say("\nwith the variables CATCHMENT_… that are set in this one.")
    say(f"\nThe demo is never billed; `{program} demo --remove` takes away all of it. Ctrl-C ends it.\n")
    say(click.style("Receipts", bold=True))


_COLOURS = {Outcome.STORED: "green", Outcome.DUPLICATE: "yellow", Outcome.FILTERED: "yellow", Outcome.REFUSED: "red"}


def show_answer(answer: Answer, dry_run: bool, say: Callable[[str], None]) -> None:
    """Print a line for each receipt, after its commit."""
    if answer.refusal is not None:
        reason, words = answer.refusal.reason, plain(_words(answer.refusal))
        names = ", ".join(filter(None, map(plain, answer.names)))
        say(f"{click.style(f'{Outcome.REFUSED:10}', fg='red')} {reason}{f' {names}' if names else ''}: {words}")
    project = answer.access.project.name if answer.access is not None else "?"
    for receipt in answer.receipts:
        say(("dry run: " if dry_run else "") + receipt_line(project, receipt))


def receipt_line(project: str, receipt: Receipt) -> str:
    """Return the line for a receipt. Texts of senders and plugins are made safe for a terminal."""
    event = receipt.event
    seen = (event.agent.browser, event.agent.os, event.place.country, event.ip) if event is not None else ()
    outcome = click.style(f"{plain(receipt.outcome):10}", fg=_COLOURS.get(receipt.outcome, "white"))
    reason = f" {plain(receipt.reason)}" if receipt.reason else ""
    name = plain(event.name if event is not None else receipt.name)
    about = click.style(" ".join(plain(part) for part in seen if part), dim=True)
    return f"{outcome}{reason} {plain(project)} {name}  {about}  {plain(receipt.event_id or '')}"


def _words(refusal: Refusal) -> str:
    """Return what was wrong, and the command that helps."""
    if refusal.about in (OriginPlace.HEADER, OriginPlace.URL):
        return f"{refusal.words.removesuffix('.')}; add it with `catchment project set P --add-origin ORIGIN`."
    return refusal.words
