"""Says what an operator can do about a refused or filtered event, as data. Adapters put words to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ..origins import Origin, read_origin_header, read_url
from ..outcomes import Filtered
from ..project import Project
from ..refusals import Reason, Refusal
from .scrub_text import scrub_text


class Advice(StrEnum):
    """The thing to do. The comments say what `Hint.about` names with it."""

    ADD_ORIGIN = "add_origin"
    """The origin, as a rule has it. None: its text is no origin, and no rule can allow it."""
    ALLOW_NULL_ORIGIN = "allow_null_origin"
    """Nothing."""
    CORRECT_FIELDS = "correct_fields"
    """Nothing: `Hint.mistakes` has the fields."""
    CORRECT_JSON = "correct_json"
    """Nothing."""
    SEND_SMALLER_EVENTS = "send_smaller_events"
    """Nothing."""
    SEND_SUPPORTED_FORMAT = "send_supported_format"
    """Nothing."""
    SEND_KEY = "send_key"
    """Nothing."""
    REPLACE_KEY = "replace_key"
    """Nothing."""
    ENABLE_PROJECT = "enable_project"
    """Nothing."""
    RAISE_QUOTA = "raise_quota"
    """Nothing. `Hint.wait` ends with the window of the quota."""
    SEND_SLOWER = "send_slower"
    """Nothing."""
    ASK_PLUGIN = "ask_plugin"
    """The plugin's name and code, or its code."""
    KEEP_BOTS = "keep_bots"
    """Nothing. The project's setting is changed only if events of robots are wanted."""
    RESPECT_VISITOR = "respect_visitor"
    """Nothing. The visitor asked for it, and the project's setting honours that."""
    CORRECT_ADDRESS = "correct_address"
    """Nothing. The sender uses an address or a way of the interface that does not exist."""
    WAIT = "wait"
    """Nothing. Senders try again by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """The advice for one reason, with what it is about. It holds no personal data."""

    advice: Advice
    about: str | None = None
    mistakes: Mapping[str, tuple[str, ...]] | None = None
    """With `CORRECT_FIELDS`: the mistakes, by field."""
    wait: int | None = None
    """Seconds after which it may work by itself, counted from the refusal."""


ADVICE: dict[Reason, Advice] = {
    Reason.BOT: Advice.KEEP_BOTS,
    Reason.DO_NOT_TRACK: Advice.RESPECT_VISITOR,
    Reason.INVALID_JSON: Advice.CORRECT_JSON,
    Reason.INVALID_EVENT: Advice.CORRECT_FIELDS,
    Reason.MISSING_KEY: Advice.SEND_KEY,
    Reason.UNKNOWN_KEY: Advice.REPLACE_KEY,
    Reason.REVOKED_KEY: Advice.REPLACE_KEY,
    Reason.QUOTA_EXCEEDED: Advice.RAISE_QUOTA,
    Reason.ORIGIN_NOT_ALLOWED: Advice.ADD_ORIGIN,
    Reason.PROJECT_DISABLED: Advice.ENABLE_PROJECT,
    Reason.NOT_FOUND: Advice.CORRECT_ADDRESS,
    Reason.METHOD_NOT_ALLOWED: Advice.CORRECT_ADDRESS,
    Reason.TOO_LARGE: Advice.SEND_SMALLER_EVENTS,
    Reason.UNSUPPORTED_MEDIA_TYPE: Advice.SEND_SUPPORTED_FORMAT,
    Reason.REFUSED_BY_PLUGIN: Advice.ASK_PLUGIN,
    Reason.RATE_LIMITED: Advice.SEND_SLOWER,
    Reason.UNAVAILABLE: Advice.WAIT,
    Reason.COMMIT_UNKNOWN: Advice.WAIT,
}

_FIELDS = 10
"""Fields with mistakes in a hint."""
_MISTAKES = 3
"""Mistakes of a field."""
_CHARACTERS = 100
_LONGEST_ORIGIN = 300
_NULL = "null"


def hint_for(
    verdict: Refusal | Filtered,
    *,
    project: Project | None = None,
    header: str | None = None,
    url: object = None,
) -> Hint:
    """Return the hint for a refusal or a filtered event.

    With `ORIGIN_NOT_ALLOWED`, the rules of the project decide which one is told: the `Origin` header, or the origin of
    the event's url.
    """
    if isinstance(verdict, Filtered):
        known = next((reason for reason in Reason if reason == verdict.reason), None)
        if known is None:
            return Hint(advice=Advice.ASK_PLUGIN, about=_safe(verdict.reason.removeprefix("plugin:")))
        return Hint(advice=ADVICE[known])
    if verdict.reason is Reason.ORIGIN_NOT_ALLOWED:
        return _origin_hint(project, header, url)
    return Hint(
        advice=ADVICE[verdict.reason],
        about=_safe(verdict.code) if verdict.code else None,
        mistakes=_mistakes(verdict.errors),
        wait=verdict.retry_after,
    )


def _origin_hint(project: Project | None, header: str | None, url: object) -> Hint:
    if header == _NULL and not (project is not None and project.settings.allow_null_origin):
        return Hint(advice=Advice.ALLOW_NULL_ORIGIN)
    refused: Origin | None = None
    told = header is not None and header != _NULL
    if header is not None and told:
        refused = read_origin_header(header)
        told = project is None or not project.origins.allow(refused)
    if not told:
        page = read_url(url) if isinstance(url, str) else None
        refused = page.origin if page is not None else None
    return Hint(advice=Advice.ADD_ORIGIN, about=None if refused is None else _safe(str(refused), _LONGEST_ORIGIN))


def _mistakes(errors: Mapping[str, list[str]]) -> Mapping[str, tuple[str, ...]] | None:
    told = list(errors.items())[:_FIELDS]
    return {_safe(path): tuple(_safe(one) for one in what[:_MISTAKES]) for path, what in told} or None


def _safe(text: str, longest: int = _CHARACTERS) -> str:
    """Return a text that may repeat what a stranger sent, such as a key of `event_data`, without personal data."""
    return scrub_text(text, set(), longest=longest)
