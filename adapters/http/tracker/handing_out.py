"""Serves the scripts that websites load: the shipped ones at a short path, and every version that was ever served.

The shipped ones are in memory, compressed at the start: they need no database. Another version comes from the archive,
and stays in memory while it is asked for.
"""

from __future__ import annotations

import gzip
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources

from catchment.core.accounts.ports import ScriptArchive
from catchment.core.accounts.scripts import NAMES, Script, is_version
from catchment.core.collecting.admission import rate_limited
from catchment.core.collecting.ports import RateLimiter
from catchment.core.errors import Unavailable
from catchment.core.ports import Clock
from catchment.core.refusals import Reason, Refusal

from ..answers import problem
from ..engine.message import Request, Response

log = logging.getLogger(__name__)

MISSING = "this Catchment was installed without its tracker; in a checkout `make assets` builds it"
FOR_NOW = "public, max-age=3600"
FOR_GOOD = "public, max-age=31536000, immutable"
_MEDIA = "text/javascript; charset=utf-8"


def shipped_scripts() -> dict[str, Script]:
    """Return the scripts of this installation, by name. A script that was not built is missing."""
    folder = resources.files(__package__ or "").joinpath("scripts")
    found = {}
    for name in NAMES:
        file = folder.joinpath(f"{name}.js")
        if file.is_file():
            found[name] = Script(name=name, content=file.read_bytes())
    return found


@dataclass(frozen=True, slots=True)
class _Served:
    """A script, ready to be sent."""

    version: str
    plain: bytes
    packed: bytes
    tags: tuple[str, str]
    """The ETags of the plain and the compressed bytes."""

    @classmethod
    def of(cls, script: Script) -> _Served:
        packed = gzip.compress(script.content, 9, mtime=0)
        tags = (f'"{script.version}"', f'"{sha256(packed).hexdigest()[:16]}"')
        return cls(script.version, script.content, packed, tags)


class Tracker:
    """The routes of the scripts.

    Look-ups in the archive are bounded: `AT_ONCE` at a time, `KEPT` versions in memory, and unknown versions are
    remembered for a while. Anybody can make versions up, so an address is charged for each unknown one, as for keys.
    """

    AT_ONCE = 8
    KEPT = 32
    UNKNOWN_SECONDS = 10.0
    UNKNOWN_KEPT = 1_000

    def __init__(
        self, shipped: Mapping[str, Script], archive: ScriptArchive, *, rate_limiter: RateLimiter, clock: Clock
    ) -> None:
        self._shipped = {name: _Served.of(script) for name, script in shipped.items()}
        self._archive = archive
        self._rate_limiter = rate_limiter
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], _Served] = OrderedDict()
        self._unknown: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._asking = 0
        self.versions: dict[str, str | None] = {
            name: shipped[name].version if name in shipped else None for name in NAMES
        }
        """The version of each shipped script, by name; None if it was not built."""

    def warn(self) -> None:
        """Log the scripts that are missing."""
        for name, version in self.versions.items():
            if version is None:
                log.warning("/%s.js answers 404: %s", name, MISSING)

    async def short(self, request: Request) -> Response:
        """Answer with the shipped script."""
        served = self._shipped.get(request.path.removeprefix("/").removesuffix(".js"))
        if served is None:
            return problem(Refusal(reason=Reason.NOT_FOUND, detail=MISSING), request)
        return _script(served, request)

    async def versioned(self, request: Request) -> Response:
        """Answer with one version, which never changes."""
        name, _, version = request.path.removeprefix("/").removesuffix(".js").rpartition(".")
        if not is_version(version):
            return problem(Refusal(reason=Reason.NOT_FOUND), request)
        try:
            served = await self._version(name, version, request.client.share)
        except Unavailable as error:
            return problem(Refusal(reason=Reason.UNAVAILABLE, detail=_AWAY, retry_after=error.retry_after), request)
        if isinstance(served, Refusal):
            return problem(served, request)
        if served is None:
            return problem(Refusal(reason=Reason.NOT_FOUND, detail=_NOT_HANDED_OUT), request)
        return _script(served, request)

    async def _version(self, name: str, version: str, share: str) -> _Served | Refusal | None:
        shipped = self._shipped.get(name)
        if shipped is not None and shipped.version == version:
            return shipped
        asked = (name, version)
        kept = self._kept.get(asked)
        if kept is not None:
            self._kept.move_to_end(asked)
            return kept
        if self._clock.monotonic() - self._unknown.get(asked, float("-inf")) < self.UNKNOWN_SECONDS:
            return None
        return await self._ask(asked, share)

    async def _ask(self, asked: tuple[str, str], share: str) -> _Served | Refusal | None:
        if self._asking >= self.AT_ONCE:
            raise Unavailable("too many versions are being looked up")
        wait = self._rate_limiter.take_look_up(share)
        if wait is not None:
            return rate_limited(wait)
        self._asking += 1
        try:
            script = await self._archive.find(*asked)
        except Unavailable:
            self._rate_limiter.return_look_up(share)
            raise
        finally:
            self._asking -= 1
        if script is None:
            self._unknown[asked] = self._clock.monotonic()
            if len(self._unknown) > self.UNKNOWN_KEPT:
                self._unknown.popitem(last=False)
            return None
        self._rate_limiter.return_look_up(share)
        served = self._kept[asked] = _Served.of(script)
        if len(self._kept) > self.KEPT:
            self._kept.popitem(last=False)
        return served


_AWAY = "This version of the script can't be looked up now."
_NOT_HANDED_OUT = "This version was never handed out; `catchment project snippet P --sri` prints one that is kept."


def _script(served: _Served, request: Request) -> Response:
    packed = _accepts_gzip(request.headers.get("Accept-Encoding", ""))
    etag = served.tags[packed]
    headers: tuple[tuple[str, str], ...] = (("ETag", etag),)
    if _matches(request.headers.get("If-None-Match"), etag):
        return Response(304, content_type=_MEDIA, headers=headers)
    if packed:
        headers = (*headers, ("Content-Encoding", "gzip"))
    return Response(200, served.packed if packed else served.plain, _MEDIA, headers)


def _matches(sent: str | None, etag: str) -> bool:
    """Return True if an `If-None-Match` names this tag (RFC 9110, 13.1.2: weak comparison)."""
    if sent is None:
        return False
    return any(one.strip().removeprefix("W/") in (etag, "*") for one in sent.split(","))


def _accepts_gzip(header: str) -> bool:
    """Return True if an `Accept-Encoding` allows gzip (RFC 9110, 12.5.3)."""
    weights = {}
    for one in header.lower().split(","):
        coding, _, parameter = one.partition(";")
        name, _, weight = parameter.partition("=")
        weights[coding.strip()] = weight.strip() if name.strip() == "q" else "1"
    weight = weights.get("gzip", weights.get("*", "0"))
    return weight.strip("0.") != ""
