"""Commands for a project's keys."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from catchment.core.project import Key, KeyKind

from .context import Context, command
from .output import Output


def add_keys(root: click.Group) -> None:
    @root.group("key")
    def key() -> None:
        """The keys that events are posted with."""

    @command(key, "create")
    @click.argument("project")
    @click.option("--kind", type=click.Choice([k.value for k in KeyKind]), required=True, help="Public, or secret.")
    @click.option("--label", help="A name for people, such as the program that uses it.")
    @click.option("--if-missing", is_flag=True, help="Keep an existing key of this kind and label.")
    def create(context: Context, output: Output, project: str, kind: str, label: str | None, if_missing: bool) -> None:
        """Create a key. A browser key is public; a server key is secret, and shown this once.

        A project may have several: for a rotation create the new one, change what posts with the old one, look at
        `catchment key list` for when it was last used, and revoke it.

        With --if-missing, a key that is there is named and no other made. The text of a server key is not known any
        more: "key" is null then, and nothing is printed.
        """
        if not if_missing:
            made = context.run(lambda management: management.administer.create_key(project, KeyKind(kind), label))
            key, text = made.key, made.text
        else:
            key, new = context.run(lambda management: management.administer.keep_key(project, KeyKind(kind), label))
            text = new.text if new else key.text
            if new is None:
                output.say(f"It is there already: {key.text} ({key.id})")
                if key.kind is KeyKind.SERVER:
                    output.document(_document(key, None), None)
                    return
        output.document(_document(key, text), text)
        if key.kind is KeyKind.SERVER:
            output.say("Keep it: it is not shown again.")

    @command(key, "list")
    @click.argument("project")
    def list_(context: Context, output: Output, project: str) -> None:
        """List a project's keys: their label, when they were made, and about when a request last came with them.

        Of server keys only the first characters are known. Servers write down once a minute which keys were used.
        """
        found = context.run(lambda management: management.administer.keys(project))
        rows = [
            {
                "id": k.id,
                "kind": k.kind,
                "key": k.text,
                "revoked": k.revoked,
                "label": k.label,
                "created": _time(k.created_at),
                "revoked_at": _time(k.revoked_at),
                "last_used": _time(k.used_at),
            }
            for k in found
        ]
        columns = {
            "key": "Key",
            "label": "Label",
            "kind": "Kind",
            "created": "Created",
            "last_used": "Last used (about)",
            "revoked_at": "Revoked",
            "id": "Id",
        }
        output.table(rows, columns, "The project has no key: catchment key create")

    @command(key, "revoke")
    @click.argument("key")
    def revoke(context: Context, output: Output, key: str) -> None:
        """Revoke a key, named by its text or its id. Running servers refuse it at once."""
        gone = context.run(lambda management: management.administer.revoke_key(key))
        document = {"id": gone.id, "project": gone.project_id, "kind": gone.kind, "key": gone.text, "revoked": True}
        output.document(document, f"Revoked {gone.text}")

    @command(key, "delete")
    @click.argument("key")
    def delete(context: Context, output: Output, key: str) -> None:
        """Delete a key that was revoked, named by its text or its id.

        It is not listed any more. Who still posts with it is told `unknown_key` instead of `revoked_key`.
        """
        gone = context.run(lambda management: management.administer.delete_key(key))
        document = {"id": gone.id, "project": gone.project_id, "kind": gone.kind, "key": gone.text, "deleted": True}
        output.document(document, f"Deleted {gone.text}")


def _document(key: Key, text: str | None) -> dict[str, Any]:
    return {"id": key.id, "project": key.project_id, "kind": key.kind, "key": text}


def _time(moment: datetime | None) -> str | None:
    """Return a time in UTC, to the second."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
