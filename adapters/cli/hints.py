"""Hints about events that were not stored, in the words of the command line."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from catchment.core.errors import Invalid
from catchment.core.metering.hints import Advice, Hint
from catchment.core.origins import OriginRule, read_origin_header
from catchment.core.project import Bots, Project


@dataclass(frozen=True, slots=True)
class HintWords:
    """A hint for people, and the command that helps, if there is one."""

    text: str
    command: str | None = None

    def __str__(self) -> str:
        return self.text if self.command is None else f"{self.text}\n  {self.command}"


def project_name(project: Project) -> str:
    return f"{project.account}/{project.name}"


def allowing(origin: str) -> list[str]:
    """Return the options that allow an origin; none if no rule can. A stranger has sent the text."""
    if origin == "null":
        return ["--allow-null-origin"]
    with contextlib.suppress(Invalid):
        return ["--add-origin", str(OriginRule.parse(origin))]
    return []


def hint_words(hint: Hint, project: Project) -> HintWords:
    """Return the words of a hint about an event of a project."""
    name = project_name(project)
    if _is_followed(hint, project):
        return HintWords("The cause is mended by now.")
    match hint.advice:
        case Advice.ADD_ORIGIN:
            return _origin_words(hint.about, name)
        case Advice.CORRECT_FIELDS:
            return HintWords(_mistakes(hint))
        case Advice.ASK_PLUGIN:
            return HintWords(f"A plugin decided so ({hint.about}). To see the plugins:", _command("plugins"))
    text, arguments = _WORDS[hint.advice]
    arguments = [name if one == _PROJECT else one for one in arguments]
    return HintWords(text, _command(*arguments) if arguments else None)


_PROJECT = "PROJECT"
_WORDS: dict[Advice, tuple[str, Sequence[str]]] = {
    Advice.ALLOW_NULL_ORIGIN: (
        "The page has no origin: it is a file, or in a sandboxed frame. To allow such pages:",
        ("project", "set", _PROJECT, "--allow-null-origin"),
    ),
    Advice.CORRECT_JSON: ("The sender has to be corrected: it did not send JSON of the expected shape.", ()),
    Advice.SEND_SMALLER_EVENTS: (
        "The event is larger than the limits allow. To see the limits:",
        ("config", "show"),
    ),
    Advice.SEND_SUPPORTED_FORMAT: ("The sender has to be corrected: it sent a format that is not read.", ()),
    Advice.SEND_KEY: ("The sender has to send a key of the project. To see its keys:", ("key", "list", _PROJECT)),
    Advice.REPLACE_KEY: (
        "The sender needs another key: events with this one are never accepted again. To see the keys:",
        ("key", "list", _PROJECT),
    ),
    Advice.ENABLE_PROJECT: ("The project is switched off. To switch it on:", ("project", "set", _PROJECT, "--enable")),
    Advice.RAISE_QUOTA: ("A quota was used up. To see the quotas, and when they begin anew:", ("quota", "list")),
    Advice.SEND_SLOWER: (
        "Too many events came in too short a time. To see the rates that are allowed:",
        ("config", "show"),
    ),
    Advice.KEEP_BOTS: (
        "A robot sent it, and the project filters robots. To store their events, with a flag:",
        ("project", "set", _PROJECT, "--bots", "flag"),
    ),
    Advice.RESPECT_VISITOR: (
        "The visitor asks not to be tracked, and the project honours that. There is nothing to correct.",
        (),
    ),
    Advice.CORRECT_ADDRESS: ("The sender has to be corrected: it uses an address that does not exist.", ()),
    Advice.WAIT: ("There is nothing to do: the sender tries again by itself.", ()),
}


def _is_followed(hint: Hint, project: Project) -> bool:
    """Tell if the project is as the hint wants it."""
    settings = project.settings
    match hint.advice:
        case Advice.ADD_ORIGIN:
            return project.origins.allow(read_origin_header(hint.about or ""))
        case Advice.ALLOW_NULL_ORIGIN:
            return settings.allow_null_origin
        case Advice.ENABLE_PROJECT:
            return settings.enabled
        case Advice.KEEP_BOTS:
            return settings.bots is Bots.FLAG
    return False


def _origin_words(origin: str | None, name: str) -> HintWords:
    if origin is None:
        return HintWords("The event has no origin that a rule could allow. Its sender has to be corrected.")
    options = allowing(origin)
    if not options:
        text = f"The origin {origin} was refused; a part of it was taken out. To see the last refused one:"
        return HintWords(text, _command("outcomes", "--project", name))
    text = f"{origin} is not an origin of {name}. To allow it, if it is yours:"
    return HintWords(text, _command("project", "set", name, *options))


def _mistakes(hint: Hint) -> str:
    told = [f"\n  {path}: {one}" for path, what in (hint.mistakes or {}).items() for one in what]
    return "The sender has to be corrected:" + "".join(told) if told else "The sender has to be corrected."


def _command(*arguments: str) -> str:
    return shlex.join(["catchment", *arguments])
