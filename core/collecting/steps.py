"""The steps of collecting: of a request, of each event, of each visitor.

Every step is a function with one job and one way to fail. The lists of them, in order, are `REQUEST_STEPS`,
`EVENT_STEPS` and `VISITOR_STEPS`; `catchment.core.collecting.collect` walks them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from .. import keys
from ..event import NO_CAMPAIGN, NO_USER_AGENT, NOWHERE, Event, JsonObject, Place, RawEvent, UserAgent
from ..origins import Url, host_of, read_origin_header
from ..outcomes import EventWarning, Filtered, Reason, Refusal
from ..project import Access, Bots, DoNotTrack, KeyKind
from .charging import Charge
from .check import Findings, Sender, check_event, check_object
from .services import Services
from .submission import Submission, Unreadable


@dataclass(slots=True)
class Visitor:
    """Who stands behind events of one request: a user agent and an address. Asked about once, and thrown away with the
    request."""

    user_agent: str | None
    address: str | None
    """The full one."""
    agent: UserAgent = NO_USER_AGENT
    place: Place = NOWHERE
    ip: str | None = None
    """What may be kept of the address."""
    warnings: list[EventWarning] = field(default_factory=list)


@dataclass(slots=True)
class Passage(Findings):
    """One event on its way, and what there is to say of it. It belongs to one event of one request, and is thrown away
    after."""

    payload: object
    submission: Submission
    access: Access
    sender: Sender
    event_id: str
    """The id it is stored under: its own, or the one it was given when it came."""
    visitors: dict[tuple[str | None, str | None], Visitor]
    """Those of this request, by user agent and address."""
    raw: RawEvent | None = field(default=None, kw_only=True)
    url: Url | None = field(default=None, kw_only=True)
    vouched: bool = field(default=False, kw_only=True)
    """True if a back end signed the event's id."""
    event: Event | None = field(default=None, kw_only=True)

    @property
    def checked(self) -> RawEvent:
        if self.raw is None:
            raise AssertionError("the fields are checked first")
        return self.raw

    @property
    def anonymised(self) -> Event:
        if self.event is None:
            raise AssertionError("the event is made first")
        return self.event


Verdict = Refusal | Filtered | None


_ADD_IT = "add it with `catchment project set P --add-origin ORIGIN`."


# The steps of a request


async def admit(services: Services, submission: Submission) -> Access | Refusal:
    """Charge the address for the events, then find the project of the key. A good server key's sender is no stranger:
    its address pays nothing."""
    charge, key = submission.charge, submission.key
    if charge is None:
        return await find_project(services, key)
    wait = charge.count(len(submission.payloads))
    if wait is not None and (key is None or keys.kind_of(key) is not KeyKind.SERVER):
        return rate_limited(wait)
    access = await find_project(services, key, charge)
    return access if wait is None or isinstance(access, Access) else rate_limited(wait)


def rate_limited(wait: int) -> Refusal:
    return Refusal(reason=Reason.RATE_LIMITED, retry_after=wait)


async def find_project(services: Services, key: str | None, charge: Charge | None = None) -> Access | Refusal:
    """The project of the key. A text that can't be a key needs no look-up."""
    if not key:
        return Refusal(
            reason=Reason.MISSING_KEY,
            detail="Send the project's key as projectKey in the body (the tag: data-key), or as Authorization: Bearer.",
        )
    access = None
    if keys.kind_of(key) is not None:
        fingerprint = keys.fingerprint(key)
        if charge is None or services.projects.knows(fingerprint):
            access = await services.projects.find(fingerprint)
        else:
            found = await _look_up(services, fingerprint, charge.share)
            if isinstance(found, Refusal):
                return found
            access = found
    if access is None:
        return Refusal(reason=Reason.UNKNOWN_KEY)
    if access.revoked:
        return Refusal(reason=Reason.REVOKED_KEY)
    if not access.project.settings.enabled:
        return Refusal(reason=Reason.PROJECT_DISABLED)
    if charge is not None and access.kind is KeyKind.SERVER:
        charge.give_back()
    return access


async def _look_up(services: Services, fingerprint: bytes, share: str | None) -> Access | Refusal | None:
    """Anybody can make up keys, and each costs a query: so an address has a share of them."""
    wait = services.rate_limiter.take_look_up(share)
    if wait is not None:
        return rate_limited(wait)
    unknown = False
    try:
        access = await services.projects.find(fingerprint)
        unknown = access is None
        return access
    finally:
        if not unknown:
            services.rate_limiter.return_look_up(share)


def match_origin_header(services: Services, submission: Submission, access: Access) -> Refusal | None:
    """With a browser key, an `Origin` header must match a rule of the project; `null` where it allows that."""
    sent = submission.origin
    if access.kind is KeyKind.SERVER or sent is None:
        return None
    if sent == "null":
        if access.project.settings.allow_null_origin:
            return None
        return Refusal(reason=Reason.ORIGIN_NOT_ALLOWED, detail="Origin: null is not allowed for this project.")
    if access.project.origins.allow(read_origin_header(sent)):
        return None
    return Refusal(
        reason=Reason.ORIGIN_NOT_ALLOWED,
        detail=f"The Origin header matches none of the project's origins; {_ADD_IT}",
    )


def check_rate(services: Services, submission: Submission, access: Access) -> Refusal | None:
    """Not more events of a key than the installation allows. They are charged after the checks: see `Collect`."""
    events = max(1, len(submission.payloads))  # one without events may report losses
    wait = services.rate_limiter.key_wait(keys.fingerprint(submission.key or ""), events)
    return None if wait is None else rate_limited(wait)


REQUEST_STEPS: tuple[Callable[[Services, Submission, Access], Refusal | None], ...] = (
    match_origin_header,
    check_rate,
)


# The steps of an event


def refuse_unreadable(services: Services, passage: Passage) -> Verdict:
    """A line of a batch that is not JSON is refused at its index."""
    return passage.payload.refusal if isinstance(passage.payload, Unreadable) else None


def refuse_another_key(services: Services, passage: Passage) -> Verdict:
    """One request, one project: an event may not name another key than the request's."""
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


def check_fields(services: Services, passage: Passage) -> Verdict:
    """A plain dict becomes a `RawEvent`."""
    checked = check_event(
        passage.payload, passage.sender, services.limits, services.ids.new_id, passage.event_id, passage
    )
    if isinstance(checked, Refusal):
        return checked
    passage.raw, passage.url = checked
    return None


def check_signature(services: Services, passage: Passage) -> Verdict:
    """A signed id is one that a back end made: nobody else can take it, or ask whether it is there."""
    signature = passage.submission.id_signature or ""
    if keys.is_signed(passage.checked.event_id, signature, passage.access.vouchers):
        passage.vouched = True
        return None
    what = "not the signature of this event id by a server key of the project that is live"
    return Refusal(reason=Reason.INVALID_EVENT, detail=f"signature: {what}", errors={"signature": [what]})


def match_url(services: Services, passage: Passage) -> Verdict:
    """With a browser key, the page's address must match a rule of the project."""
    if passage.url is not None and passage.access.project.origins.allow(passage.url.origin):
        return None
    return Refusal(
        reason=Reason.ORIGIN_NOT_ALLOWED,
        detail=f"The event's url matches none of the project's origins; {_ADD_IT}",
    )


def drop_do_not_track(services: Services, passage: Passage) -> Verdict:
    """Where the project honours it, a visitor who asks not to be tracked is not."""
    return Filtered(Reason.DO_NOT_TRACK)


def meet_visitor(services: Services, passage: Passage) -> Verdict | Awaitable[Verdict]:
    """A `RawEvent` becomes an `Event`, with what is known of the visitor; a new one goes through `VISITOR_STEPS`."""
    raw = passage.checked
    visitor = passage.visitors.get((raw.user_agent, raw.ip))
    if visitor is None:
        return _meet_new_visitor(services, passage)
    passage.event = make_event(passage, visitor)
    return None


async def _meet_new_visitor(services: Services, passage: Passage) -> None:
    raw = passage.checked
    visitor = Visitor(raw.user_agent, raw.ip)
    for step in VISITOR_STEPS:
        await step(services, passage, visitor)
    passage.visitors[raw.user_agent, raw.ip] = visitor
    passage.event = make_event(passage, visitor)


def make_event(passage: Passage, visitor: Visitor) -> Event:
    """The event as it will be stored, but for what plugins add. The full address ends here."""
    raw, passage.raw = passage.checked, None
    passage.warnings.extend(visitor.warnings)
    columns = vars(raw)
    columns.update(
        {
            "project_id": passage.access.project.id,
            "key_kind": KeyKind.SERVER if passage.vouched else passage.access.kind,
            "referrer_host": host_of(raw.referrer) if raw.referrer else None,
            "agent": visitor.agent,
            "ip": visitor.ip,
            "place": visitor.place,
            "campaign": NO_CAMPAIGN,
            "is_bot": False,
            "properties": {},
            "received_at": passage.sender.received_at,
        }
    )
    return Event.of(columns)


def validate(services: Services, passage: Passage) -> Awaitable[Verdict]:
    """What plugins object to."""
    return services.extensions.validate(passage.anonymised, passage.warnings)


async def enrich(services: Services, passage: Passage) -> Verdict:
    """What plugins add: campaign tags, the bot flag, properties."""
    found = await services.extensions.enrich(passage.anonymised, passage.warnings)
    if not found:
        return None
    changes: dict[str, Any] = {}
    properties: JsonObject = {}
    for enrichment in found:
        if enrichment.campaign is not None:
            changes["campaign"] = enrichment.campaign
        if enrichment.is_bot is not None:
            changes["is_bot"] = enrichment.is_bot
        properties.update(enrichment.properties)
    if properties:
        changes["properties"] = check_object(properties, "properties", services.limits, passage)
    vars(passage.anonymised).update(changes)  # frozen for everybody else: it is still on its way
    return None


def drop_bots(services: Services, passage: Passage) -> Verdict:
    """Where the project filters robots, an event of one is left out."""
    return Filtered(Reason.BOT) if passage.anonymised.is_bot else None


EventStep = Callable[[Services, Passage], Verdict | Awaitable[Verdict]]

EVENT_STEPS: tuple[EventStep, ...] = (
    refuse_unreadable,
    refuse_another_key,
    check_fields,
    check_signature,
    match_url,
    drop_do_not_track,
    meet_visitor,
    validate,
    enrich,
    drop_bots,
)


def event_steps(submission: Submission, access: Access) -> Sequence[EventStep]:
    """The `EVENT_STEPS` that can have something to say of this request's events: known once a request."""
    browser = access.kind is KeyKind.BROWSER
    settings = access.project.settings
    return _event_steps(
        browser,
        submission.id_signature is not None,
        browser and submission.do_not_track and settings.do_not_track is DoNotTrack.FILTER,
        settings.bots is Bots.FILTER,
    )


@lru_cache
def _event_steps(browser: bool, signed: bool, not_tracked: bool, filters_bots: bool) -> tuple[EventStep, ...]:
    applies: dict[EventStep, bool] = {
        check_signature: signed,
        match_url: browser,
        drop_do_not_track: not_tracked,
        drop_bots: filters_bots,
    }
    return tuple(step for step in EVENT_STEPS if applies.get(step, True))


# The steps of a visitor


async def parse_user_agent(services: Services, passage: Passage, visitor: Visitor) -> None:
    """Browser, system and device out of the user agent."""
    if visitor.user_agent:
        visitor.agent = await services.extensions.parse_user_agent(visitor.user_agent, visitor.warnings)


async def locate(services: Services, passage: Passage, visitor: Visitor) -> None:
    """Country, region and city."""
    if visitor.address:
        visitor.place = await services.extensions.locate(visitor.address, visitor.warnings)


async def anonymise(services: Services, passage: Passage, visitor: Visitor) -> None:
    """The address as the project's privacy mode keeps it. The full one is used here for the last time."""
    privacy, now = passage.access.project.settings.privacy, passage.sender.received_at
    visitor.ip = await services.anonymizer.anonymise(visitor.address, privacy, now)


VISITOR_STEPS: tuple[Callable[[Services, Passage, Visitor], Awaitable[None]], ...] = (
    parse_user_agent,
    locate,
    anonymise,
)
