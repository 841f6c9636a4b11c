"""The steps of collecting after the request's own (`admission`): for each event, and for each visitor.

Every step is a function with one job and one way to fail. `EVENT_STEPS` and `VISITOR_STEPS` list them in order, with
their conditions. `catchment.core.collecting.collect` runs them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any, NamedTuple

from .. import keys
from ..event import NO_CAMPAIGN, NO_USER_AGENT, NOWHERE, Columns, Event, JsonObject, Place, UserAgent
from ..origins import Url, host_of
from ..outcomes import EventWarning, Filtered
from ..privacy import anonymize, visitor_of_day
from ..project import Access, Bots, DoNotTrack, KeyKind, Privacy, Visitors
from ..refusals import OriginPlace, Reason, Refusal
from .admission import no_rule_allows
from .check import Sender, check_event
from .check_data import check_object
from .findings import Findings
from .services import Services
from .submission import Submission, Unreadable


@dataclass(slots=True)
class Visitor:
    """A user agent and an address, from which events of one request come. The visitor steps run once for it."""

    user_agent: str | None
    address: str | None
    """The full address."""
    agent: UserAgent = NO_USER_AGENT
    place: Place = NOWHERE
    ip: str | None = None
    """The anonymized address."""
    of_day: bytes | None = None
    """The visitor of the day (`visitor_of_day`)."""
    warnings: list[EventWarning] = field(default_factory=list)


@dataclass(slots=True)
class Passage(Findings):
    """One event on its way through the steps, with its warnings and errors."""

    payload: object
    submission: Submission
    access: Access
    sender: Sender
    event_id: str
    """The id of the event, if it does not name one itself."""
    visitors: dict[tuple[str | None, str | None], Visitor]
    """The visitors of this request, by user agent and address."""
    columns: Columns | None = field(default=None, kw_only=True)
    """The event's fields between their check and the visitor's steps, with the full address."""
    url: Url | None = field(default=None, kw_only=True)
    vouched: bool = field(default=False, kw_only=True)
    """True if a back end signed the event's id."""
    event: Event | None = field(default=None, kw_only=True)

    @property
    def checked(self) -> Columns:
        if self.columns is None:
            raise AssertionError("the fields are checked first")
        return self.columns

    @property
    def anonymized(self) -> Event:
        if self.event is None:
            raise AssertionError("the event is made first")
        return self.event


StepResult = Refusal | Filtered | None


# The steps of an event


def refuse_unreadable(services: Services, passage: Passage) -> StepResult:
    """Refuse a line of a batch that is not JSON, at its index."""
    return passage.payload.refusal if isinstance(passage.payload, Unreadable) else None


def refuse_another_key(services: Services, passage: Passage) -> StepResult:
    """Refuse an event that names another key than its request: one request, one project."""
    if isinstance(passage.payload, dict):
        named = passage.payload.get("projectKey")
        if named is not None and named != passage.submission.key:
            passage.refuse("projectKey", "another key than the request's; one request, one project")
            return Refusal(
                reason=Reason.INVALID_EVENT,
                detail="projectKey: another key than the request's",
                errors=passage.errors,
            )
    return None


def check_fields(services: Services, passage: Passage) -> StepResult:
    """Check the fields of a plain dict."""
    checked = check_event(
        passage.payload, passage.sender, services.limits, services.ids.new_id, passage.event_id, passage
    )
    if isinstance(checked, Refusal):
        return checked
    passage.columns, passage.url = checked
    return None


def check_signature(services: Services, passage: Passage) -> StepResult:
    """Refuse an id whose signature is wrong. A signed id was made by a back end: nobody else can use it up, or find out
    whether it exists."""
    signature = passage.submission.id_signature or ""
    if keys.is_signed(passage.checked["event_id"], signature, passage.access.vouchers):
        passage.vouched = True
        return None
    what = "not the signature of this event id by a server key of the project that is live"
    return Refusal(reason=Reason.INVALID_EVENT, detail=f"signature: {what}", errors={"signature": [what]})


def match_url(services: Services, passage: Passage) -> StepResult:
    """Refuse an event whose url matches no rule of the project."""
    origin = None if passage.url is None else passage.url.origin
    project = passage.access.project
    if project.origins.allow(origin):
        return None
    if origin is not None:
        services.outcomes.refused_origin(project.id, str(origin), passage.sender.received_at)
    return no_rule_allows("event's url", origin, OriginPlace.URL)


def drop_do_not_track(services: Services, passage: Passage) -> StepResult:
    """Drop the event of a visitor who asks not to be tracked."""
    return Filtered(Reason.DO_NOT_TRACK)


def meet_visitor(services: Services, passage: Passage) -> StepResult | Awaitable[StepResult]:
    """Make an `Event` of its columns and its visitor. A new visitor goes through `VISITOR_STEPS` first."""
    columns = passage.checked
    visitor = passage.visitors.get((columns["user_agent"], columns["ip"]))
    if visitor is None:
        return _meet_new_visitor(services, passage)
    passage.event = make_event(passage, visitor)
    return None


async def _meet_new_visitor(services: Services, passage: Passage) -> None:
    columns = passage.checked
    visitor = Visitor(columns["user_agent"], columns["ip"])
    for step in VISITOR_STEPS:
        await step(services, passage, visitor)
    passage.visitors[visitor.user_agent, visitor.address] = visitor
    passage.event = make_event(passage, visitor)


def make_event(passage: Passage, visitor: Visitor) -> Event:
    """Return the event as it is stored, before plugins add to it. It does not have the full address."""
    columns, passage.columns = passage.checked, None
    passage.warnings.extend(visitor.warnings)
    columns["project_id"] = passage.access.project.id
    columns["key_kind"] = KeyKind.SERVER if passage.vouched else passage.access.kind
    columns["received_at"] = passage.sender.received_at
    columns["referrer_host"] = host_of(columns["referrer"]) if columns["referrer"] else None
    columns["is_bot"] = False
    columns["properties"] = {}
    columns["campaign"] = NO_CAMPAIGN
    columns["agent"] = visitor.agent
    columns["ip"] = visitor.ip
    columns["place"] = visitor.place
    columns["visitor"] = visitor.of_day
    return Event.of(columns)


def validate(services: Services, passage: Passage) -> Awaitable[StepResult]:
    """Ask plugins for objections."""
    return services.extensions.validate(passage.anonymized, passage.warnings)


async def enrich(services: Services, passage: Passage) -> StepResult:
    """Add what plugins find: campaign tags, the bot flag, properties."""
    found = await services.extensions.enrich(passage.anonymized, passage.warnings)
    if not found:
        return None
    columns: list[Any] = [*passage.anonymized]  # `_replace` takes three times as long
    properties: JsonObject = {}
    for enrichment in found:
        if enrichment.campaign is not None:
            columns[_CAMPAIGN] = enrichment.campaign
        if enrichment.is_bot is not None:
            columns[_IS_BOT] = enrichment.is_bot
        properties.update(enrichment.properties)
    if properties:
        # A public key is told nothing about them: plugins may add what they know of a person.
        findings = passage if passage.access.kind is KeyKind.SERVER else Findings(services.limits)
        columns[_PROPERTIES] = check_object(properties, "properties", services.limits, findings)
    passage.event = Event._make(columns)
    return None


_CAMPAIGN, _IS_BOT, _PROPERTIES = map(Event._fields.index, ("campaign", "is_bot", "properties"))


def drop_bots(services: Services, passage: Passage) -> StepResult:
    """Drop the event of a bot."""
    return Filtered(Reason.BOT) if passage.anonymized.is_bot else None


EventFunction = Callable[[Services, Passage], StepResult | Awaitable[StepResult]]


class EventStep(NamedTuple):
    """A step of every event of the requests for which `when` is true; None: of all requests."""

    run: EventFunction
    when: Callable[[Submission, Access], bool] | None = None


def _is_signed(submission: Submission, access: Access) -> bool:
    return submission.id_signature is not None


def _is_from_browser(submission: Submission, access: Access) -> bool:
    return access.kind is KeyKind.BROWSER


def _must_not_be_tracked(submission: Submission, access: Access) -> bool:
    return (
        submission.do_not_track
        and access.kind is KeyKind.BROWSER
        and access.project.settings.do_not_track is DoNotTrack.FILTER
    )


def _filters_bots(submission: Submission, access: Access) -> bool:
    return access.project.settings.bots is Bots.FILTER


EVENT_STEPS = (
    EventStep(refuse_unreadable),
    EventStep(refuse_another_key),
    EventStep(check_fields),
    EventStep(check_signature, when=_is_signed),
    EventStep(match_url, when=_is_from_browser),
    EventStep(drop_do_not_track, when=_must_not_be_tracked),
    EventStep(meet_visitor),
    EventStep(validate),
    EventStep(enrich),
    EventStep(drop_bots, when=_filters_bots),
)


def event_steps(submission: Submission, access: Access) -> Sequence[EventFunction]:
    """Return the steps of the events of this request."""
    return [step.run for step in EVENT_STEPS if step.when is None or step.when(submission, access)]


# The steps of a visitor


async def parse_user_agent(services: Services, passage: Passage, visitor: Visitor) -> None:
    """Find the browser, system and device in the user agent."""
    if visitor.user_agent:
        visitor.agent = await services.extensions.parse_user_agent(visitor.user_agent, visitor.warnings)


async def locate(services: Services, passage: Passage, visitor: Visitor) -> None:
    """Find the country, region and city of the address."""
    if visitor.address:
        visitor.place = await services.extensions.locate(visitor.address, visitor.warnings)


async def recognize_visitor(services: Services, passage: Passage, visitor: Visitor) -> None:
    """Make the bytes by which events of the same visitor and day can be told from others."""
    project = passage.access.project
    if visitor.address and project.settings.visitors is Visitors.DAILY:
        salt = await _salt_of_day(services, passage)
        visitor.of_day = visitor_of_day(project.id, visitor.address, visitor.user_agent or "", salt)


async def anonymize_address(services: Services, passage: Passage, visitor: Visitor) -> None:
    """Keep of the address what the project's privacy mode allows. The full address is used here for the last time."""
    if visitor.address:
        mode = passage.access.project.settings.privacy
        salt = await _salt_of_day(services, passage) if mode is Privacy.HASH else b""
        visitor.ip = anonymize(visitor.address, mode, salt)


def _salt_of_day(services: Services, passage: Passage) -> Awaitable[bytes]:
    return services.salts.of_day(passage.sender.received_at.astimezone(UTC).date())


VISITOR_STEPS: tuple[Callable[[Services, Passage, Visitor], Awaitable[None]], ...] = (
    parse_user_agent,
    locate,
    recognize_visitor,
    anonymize_address,
)
