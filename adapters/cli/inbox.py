"""Commands for the inbox: samples of events that were not stored."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from catchment.core.metering.inbox import Obstacle, Sample
from catchment.core.metering.replaying import Replayed, missing
from catchment.core.metering.scrub import Replay
from catchment.core.outcomes import Outcome

from .context import Context, command
from .hints import HintWords, hint_words, project_name
from .output import Output

if TYPE_CHECKING:
    from catchment.core.project import Project

_HINTS = 5
"""Hints under a list."""
_IDS = 8
"""Ids in a command under a list."""
_AGAIN = {Replay.WHOLE: "yes", Replay.REDUCED: "in part", Replay.NO: "no"}
_OBSTACLES = {
    Obstacle.UNREADABLE: "it could not be read as an event",
    Obstacle.PARTS_MISSING: "a part that it needs was taken out, or left out because the event is large",
    Obstacle.SIGNED: "a back end signed its id, and signatures are not kept",
    Obstacle.NOT_TRACKED: "the visitor asks not to be tracked, so only its name was kept",
    Obstacle.WRONG: "the event itself is wrong, and would be refused again",
    Obstacle.KEY_REVOKED: "its key was revoked",
}


def add_inbox(root: click.Group) -> None:
    @root.group("inbox")
    def inbox() -> None:
        """Look at events that were not stored, and send them again.

        The inbox keeps samples of refused and filtered events: 20 for a project and reason, for 7 days, without
        personal data. Servers write them every few seconds.

        \b
        To find out why events are missing:
          catchment inbox list acme/shop    the samples, and what to do
          catchment inbox show k7f39qmz     one sample, with the event
          catchment inbox replay k7f39qmz   send it again, when the cause is mended
        """

    @command(inbox, "list")
    @click.argument("project")
    @click.option("--reason", help="Show this reason alone, such as origin_not_allowed.")
    def list_(context: Context, output: Output, project: str, reason: str | None) -> None:
        """List a project's samples, newest first, and say what to do.

        PROJECT is an id, account/name, or name. "Send again" says if `catchment inbox replay` can send the event:
        yes, in part (without what was taken out of the sample), no, or done.
        """
        found, samples = context.run(lambda management: management.inbox.list(project, reason=reason))
        if output.as_json:
            output.document([_document(found, sample) for sample in samples], None)
            return
        columns = {
            "id": "Id",
            "time": "Time (UTC)",
            "name": "Event",
            "reason": "Reason",
            "again": "Send again",
        }
        rows = [
            {
                "id": sample.id,
                "time": f"{sample.received_at.astimezone(UTC):%m-%d %H:%M}",
                "name": sample.name or None,
                "reason": sample.reason,
                "again": "done" if sample.replayed_at else _AGAIN[sample.replay],
            }
            for sample in samples
        ]
        with_reason = f" with the reason {reason}" if reason else ""
        empty = f"The inbox has no event of {project_name(found)}{with_reason} from the last 7 days."
        output.table(rows, columns, empty, droppable=("time", "again"))
        _say_hints(output, found, samples)

    @command(inbox, "show")
    @click.argument("id")
    def show(context: Context, output: Output, id: str) -> None:
        """Show a sample: the event without personal data, and what to do.

        What was taken out has a placeholder such as [email] or [cut].
        """
        project, sample = context.run(lambda management: management.inbox.show(id))
        output.document(_document(project, sample), _page(project, sample))

    @command(inbox, "replay")
    @click.argument("ids", metavar="ID...", nargs=-1, required=True)
    def replay(context: Context, output: Output, ids: tuple[str, ...]) -> None:
        """Send events again, when the cause is mended, and print their receipts.

        An event walks the same way as when it came: with its key, origin and time, so it may be refused again. It keeps
        its id, so a second replay is a duplicate and does no harm. What was taken out of the sample is missing in the
        event; so are the visitor's address and place. Exits with 1 if an event is not stored.
        """
        with output.waiting("sending"):
            found = context.run(lambda management: management.inbox.replay(ids))
        columns = {"id": "Id", "name": "Event", "outcome": "Outcome", "reason": "Reason", "event_id": "Event id"}
        rows = [
            {
                **_receipt(one),
                "outcome": one.outcome or "not sent",
                "name": one.sample.name or None,
                "reason": one.reason,
            }
            for _, one in found
        ]
        output.table(
            [_receipt(one) for _, one in found] if output.as_json else rows, columns, "", droppable=("name", "event_id")
        )
        for project, one in found:
            for line in _notes(project, one):
                output.say(line)
        if not all(one.is_stored for _, one in found):
            sys.exit(1)


def _say_hints(output: Output, project: Project, samples: Sequence[Sample]) -> None:
    """Say what to do about each cause, and how to send its events again."""
    causes: dict[tuple[str, HintWords], list[Sample]] = {}
    for sample in samples:
        if sample.replayed_at is None:
            causes.setdefault((sample.reason, hint_words(sample.hint, project)), []).append(sample)
    for (reason, words), found in list(causes.items())[:_HINTS]:
        output.say(f"\n{reason} ({', '.join(sample.id for sample in found[:_IDS])}{', …' * (len(found) > _IDS)})")
        output.say(str(words))
        ids = [sample.id for sample in found if sample.replay is not Replay.NO][:_IDS]
        if ids:
            what = "it" if len(ids) == 1 else "them"
            output.say(f"Then send {what} again:\n  {shlex.join(['catchment', 'inbox', 'replay', *ids])}")
    if len(causes) > _HINTS:
        output.say("\nThere are more causes: `catchment inbox show ID` says what to do.")


def _page(project: Project, sample: Sample) -> str:
    """Return all about a sample, for people."""
    facts = {
        "Id": sample.id,
        "Project": project_name(project),
        "Arrived": f"{_stamp(sample.received_at)}, with a {sample.key_kind} key",
        "Outcome": f"{sample.outcome}: {sample.reason}",
        "Origin": sample.origin,
        "Event id": sample.event_id,
        "Taken out": _fields(sample),
        "Send again": _again(sample),
        "Replayed": _stamp(sample.replayed_at) if sample.replayed_at else None,
    }
    width = max(len(heading) for heading in facts) + 1
    lines = [f"{heading + ':':<{width}} {fact}" for heading, fact in facts.items() if fact]
    event = "no event" if sample.payload is None else json.dumps(sample.payload, ensure_ascii=False, indent=2)
    return "\n".join([*lines, "", event, "", str(hint_words(sample.hint, project))])


def _again(sample: Sample) -> str:
    if sample.obstacle is not None:
        return f"no: {_OBSTACLES[sample.obstacle]}"
    return f"catchment inbox replay {sample.id}"


def _fields(sample: Sample) -> str:
    """Return the fields from which something was taken out, such as `userId (user), url (query)`."""
    return ", ".join(f"{name or 'the event'} ({', '.join(kinds)})" for name, kinds in missing(sample).items())


def _notes(project: Project, one: Replayed) -> list[str]:
    """Return the words about an event that was sent again, or could not be."""
    sample = one.sample
    if one.outcome is None:
        return [f"{sample.id} can't be sent again: {_OBSTACLES[sample.obstacle or Obstacle.UNREADABLE]}."]
    lines = []
    if one.refusal is not None:
        lines.append(f"{sample.id} is refused: {one.refusal.words}")
    elif not one.is_stored:
        lines.append(f"{sample.id} is filtered: {one.reason}.")
    if one.hint is not None:
        lines.append(str(hint_words(one.hint, project)))
    if one.outcome == Outcome.STORED and missing(sample):
        lines.append(f"{sample.id} was sent without what had been taken out: {_fields(sample)}.")
    return [*lines, *(f"{sample.id}: {warning.field}: {warning.detail}" for warning in one.warnings)]


def _document(project: Project, sample: Sample) -> dict[str, Any]:
    words = hint_words(sample.hint, project)
    return {
        "id": sample.id,
        "project_id": sample.project_id,
        "outcome": sample.outcome,
        "reason": sample.reason,
        "received_at": _stamp(sample.received_at),
        "key_kind": sample.key_kind,
        "origin": sample.origin,
        "event_id": sample.event_id,
        "event": sample.payload,
        "taken": missing(sample),
        "replay": sample.replay,
        "obstacle": sample.obstacle,
        "replayed_at": _stamp(sample.replayed_at) if sample.replayed_at else None,
        "hint": {"advice": sample.hint.advice, "text": words.text, "command": words.command},
    }


def _receipt(one: Replayed) -> dict[str, Any]:
    return {
        "id": one.sample.id,
        "outcome": one.outcome,
        "reason": one.reason,
        "detail": one.refusal.words if one.refusal is not None else None,
        "event_id": one.event_id,
        "session_id": one.session_id,
        "warnings": [
            {"code": warning.code, "field": warning.field, "detail": warning.detail} for warning in one.warnings
        ],
        "missing": missing(one.sample),
        "obstacle": one.sample.obstacle,
    }


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
