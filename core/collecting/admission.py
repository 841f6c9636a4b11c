"""The steps of a request: who sends it, and may they. Each can refuse the whole request.

`admit` comes first. `REQUEST_STEPS` lists the others in their order.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import keys
from ..origins import Origin, read_origin_header
from ..project import Access, KeyKind
from ..refusals import OriginPlace, Reason, Refusal
from .charging import Charge
from .findings import clean
from .services import Services
from .submission import Submission


async def admit(services: Services, submission: Submission) -> Access | Refusal:
    """Charge the address for the events, then find the project of the key. A request with a valid server key costs its
    address nothing."""
    charge, key = submission.charge, submission.key
    if submission.key_fingerprint is not None:
        known = await services.projects.find(submission.key_fingerprint)
        return Refusal(reason=Reason.UNKNOWN_KEY) if known is None else known
    if charge is None:
        return await find_project(services, key)
    wait = charge.count(len(submission.payloads))
    if wait is not None and (key is None or keys.kind_of(key) is not KeyKind.SERVER):
        return rate_limited(wait)
    access = await find_project(services, key, charge)
    if wait is not None and (isinstance(access, Refusal) or refusal_of(access) is not None):
        return rate_limited(wait)
    return access


def rate_limited(wait: int) -> Refusal:
    return Refusal(reason=Reason.RATE_LIMITED, retry_after=wait)


async def find_project(services: Services, key: str | None, charge: Charge | None = None) -> Access | Refusal:
    """Find the project of the key, which may be closed (`refusal_of`). A text that can't be a key needs no look-up."""
    if not key:
        return Refusal(reason=Reason.MISSING_KEY)
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
    if charge is not None and access.kind is KeyKind.SERVER and refusal_of(access) is None:
        charge.give_back()
    return access


def refusal_of(access: Access) -> Refusal | None:
    """Return the refusal of everything that comes with a key, if it was revoked or its project is switched off."""
    if access.revoked:
        return Refusal(reason=Reason.REVOKED_KEY)
    return None if access.project.settings.enabled else Refusal(reason=Reason.PROJECT_DISABLED)


async def _look_up(services: Services, fingerprint: bytes, share: str | None) -> Access | Refusal | None:
    """Look up a key that is not known. Anybody can invent keys, and each costs a query, so each address may look
    up only a few."""
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


def refuse_closed(services: Services, submission: Submission, access: Access) -> Refusal | None:
    """Refuse a key that was revoked, and a project that is switched off."""
    return refusal_of(access)


def match_origin_header(services: Services, submission: Submission, access: Access) -> Refusal | None:
    """Refuse a browser key's request if its `Origin` header matches no rule of the project."""
    sent = submission.origin
    if access.kind is KeyKind.SERVER or sent is None:
        return None
    if sent == "null":
        if access.project.settings.allow_null_origin:
            return None
        services.outcomes.refused_origin(access.project.id, clean(sent), submission.received_at)
        return Refusal(
            reason=Reason.ORIGIN_NOT_ALLOWED,
            detail="Origin: null is not allowed for this project.",
            about=OriginPlace.NULL_HEADER,
        )
    origin = read_origin_header(sent)
    if access.project.origins.allow(origin):
        return None
    services.outcomes.refused_origin(access.project.id, clean(sent), submission.received_at)
    return no_rule_allows("Origin header", origin, OriginPlace.HEADER)


def no_rule_allows(what: str, origin: Origin | None, about: OriginPlace) -> Refusal:
    """Return the refusal of an origin. It is named as a rule would name it."""
    named = f" ({origin})" if origin is not None else ""
    detail = f"The {what}{named} matches none of the project's origins."
    return Refusal(reason=Reason.ORIGIN_NOT_ALLOWED, detail=detail, about=about)


def check_rate(services: Services, submission: Submission, access: Access) -> Refusal | None:
    """Refuse more events of a key than the installation allows. The key is charged after the checks: see `Collect`."""
    events = max(1, len(submission.payloads))  # one without events may report losses
    wait = services.rate_limiter.key_wait(submission.fingerprint, events)
    return None if wait is None else rate_limited(wait)


REQUEST_STEPS: tuple[Callable[[Services, Submission, Access], Refusal | None], ...] = (
    refuse_closed,
    match_origin_header,
    check_rate,
)
