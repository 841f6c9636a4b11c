"""Finds personal data and secrets in a text and puts placeholders such as ``[email]`` for them.

`DETECTORS` is the table of what is taken out of texts, `NAMES` the table of names whose values are taken out.

The texts come from strangers, and are short when they get here. Every pattern has a fixed longest match or can't go
back, so the work grows with the length of the text only. When in doubt, a detector takes too much.
"""

from __future__ import annotations

import re
from collections.abc import Callable, MutableSet
from enum import Enum, StrEnum
from itertools import pairwise
from typing import NamedTuple


class Kind(StrEnum):
    """A kind of data that is taken out. Its value is the word in the placeholder."""

    EMAIL = "email"
    IP = "ip"
    """An IPv4, IPv6 or hardware address."""
    CARD = "card"
    """A payment card number: 12 to 19 digits with the right check digit."""
    PHONE = "phone"
    NUMBER = "number"
    """Another long number, or one that JSON can't hold."""
    TOKEN = "token"  # noqa: S105
    """A key, a JWT, a UUID, or letters and digits that look random."""
    SECRET = "secret"  # noqa: S105
    """A value with a name such as `password`."""
    USER = "user"
    """The id or the name of a person, or the user in a url."""
    QUERY = "query"
    FRAGMENT = "fragment"
    PERSON = "person"
    """A value with a name such as `first_name` or `birthday`."""
    TEXT = "text"
    """A text that could not be made safe in a few rounds."""
    OTHER = "other"
    """A value that JSON has no type for."""
    CUT = "cut"
    """Not personal: the sample has no space for it."""

    @property
    def placeholder(self) -> str:
        return f"[{self.value}]"


class Within(Enum):
    """The place of a text, which decides how strict the detectors are."""

    TEXT = "text"
    PATH = "path"
    """In the path of a url, long numbers are common, and a slash separates."""
    AGENT = "agent"
    """In a user agent, four numbers with dots are often a version."""
    ID = "id"
    """An id looks random on purpose."""


Found = MutableSet[Kind]


def detect(text: str, found: Found, within: Within) -> str:
    """Return the text with placeholders, and add the kinds that were in it to `found`."""
    if _SUSPICIOUS.search(text) is None:
        return text
    for detector in DETECTORS:
        if within in detector.within and any(sign in text for sign in detector.signs):
            text = detector.replace(text, found, within)
    return text


_SUSPICIOUS = re.compile(
    r"[@:=?#%\d]|(?i:bearer|basic)|eyJ|[A-Z]{6}|[A-Za-z]_[\w-]{8}|[A-Za-z0-9+/_=-]{16}|(?:xox|app|pat|sk)[a-z]?-|//"
)
"""A sign that any detector looks for. Most texts are words, and have none."""


def _pattern(kind: Kind, pattern: str, keep: str = "") -> Callable[[str, Found, Within], str]:
    """Return a function that puts a placeholder for each match. `keep` is the group that stays before it."""
    compiled = re.compile(pattern)

    def replace(text: str, found: Found, within: Within) -> str:
        def put(match: re.Match[str]) -> str:
            kept = match[keep] if keep else ""
            if match[0] != kept + kind.placeholder:
                found.add(kind)
            return kept + kind.placeholder

        return compiled.sub(put, text)

    return replace


_DELIMITERS = frozenset(' \t\r\n\f\v\xa0\u2028<>()[]{}",;:\\/=&?#|')
_AT = re.compile("@|%40")


def _emails(text: str, found: Found, within: Within) -> str:
    parts, done = [], 0
    for match in _AT.finditer(text):
        start, end = match.span()
        if start < done:
            continue
        while start > done and text[start - 1] not in _DELIMITERS and text[start - 1] != "@":
            start -= 1
        while end < len(text) and text[end] not in _DELIMITERS and text[end] != "@":
            end += 1
        if start < match.start() and match.end() < end:
            found.add(Kind.EMAIL)
            parts += [text[done:start], Kind.EMAIL.placeholder]
            done = end
    return "".join([*parts, text[done:]])


_COLONS = re.compile(r"(?<![0-9A-Fa-f:.])[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*")
_OCTET = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
_IPV4 = re.compile(rf"(?<![0-9]){_OCTET}(?:\.{_OCTET}){{3}}(?![0-9])")
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.0\.0")


def _ipv6(text: str, found: Found, within: Within) -> str:
    def put(match: re.Match[str]) -> str:
        run = match[0]
        if not _is_ipv6(run, text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]):
            return run
        found.add(Kind.IP)
        return Kind.IP.placeholder

    return _COLONS.sub(put, text) if text.count(":") > 1 else text


def _is_ipv6(run: str, before: str, after: str) -> bool:
    if run.count(":") >= 5:  # a hardware address has 5, a time of day has 2
        return True
    digits = run.strip(":.")
    if "::" not in run or not digits:
        return False
    return any(letter.isdigit() for letter in digits) or not (before.isalnum() or after.isalnum())


def _ipv4(text: str, found: Found, within: Within) -> str:
    def put(match: re.Match[str]) -> str:
        is_version = text[match.start() - 1 : match.start()] == "/" and _VERSION.fullmatch(match[0])
        if within is Within.AGENT and is_version:
            return match[0]
        found.add(Kind.IP)
        return Kind.IP.placeholder

    return _IPV4.sub(put, text) if text.count(".") > 2 else text


_DIGITS = re.compile(r"\+?\d(?:[\s._()/\u2013-]{0,3}\d){6,}")
_DIGITS_IN_PATH = re.compile(r"\+\d(?:[ ._()-]{0,3}\d){6,}|\d(?:[ _-]?\d){6,}")
_ENOUGH_DIGITS = 9
_INTERNATIONAL_DIGITS = 7


def _numbers(text: str, found: Found, within: Within) -> str:
    strict = within is Within.TEXT

    def put(match: re.Match[str]) -> str:
        run = match[0]
        groups = ["".join(filter(str.isdigit, run))]
        if not strict:
            groups += re.findall(r"\d+", run)
        count = len(groups[0])
        if any(is_card(group) for group in groups):
            kind = Kind.CARD
        elif count >= _INTERNATIONAL_DIGITS and run[0] == "+":
            kind = Kind.PHONE
        elif count >= _ENOUGH_DIGITS and strict:
            kind = Kind.PHONE if count <= 15 else Kind.NUMBER
        else:
            return run
        found.add(kind)
        return kind.placeholder

    return (_DIGITS if strict else _DIGITS_IN_PATH).sub(put, text)


def is_card(digits: str) -> bool:
    """Return True if the digits may be the number of a payment card: the length, the first digit and the check digit
    (Luhn, ISO/IEC 7812-1) are those of one."""
    if not 12 <= len(digits) <= 19 or not digits.isdecimal() or not 2 <= int(digits[0]) <= 6:
        return False
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


_RUN = re.compile(r"[A-Za-z0-9+/_=-]{16,}")
_RUN_IN_PATH = re.compile(r"[A-Za-z0-9+_=-]{16,}")
_SEGMENT = re.compile(r"[A-Za-z0-9]{8,}")
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]+")


def _random_runs(text: str, found: Found, within: Within) -> str:
    def put(match: re.Match[str]) -> str:
        if not _looks_random(match[0]):
            return match[0]
        found.add(Kind.TOKEN)
        return Kind.TOKEN.placeholder

    return (_RUN if within is Within.TEXT else _RUN_IN_PATH).sub(put, text)


def _looks_random(run: str) -> bool:
    """Return True for base64, hexadecimal and the like, and False for words that are joined to a name."""
    if any(_is_random_segment(segment) for segment in _SEGMENT.findall(run)):
        return True
    classes = [_class_of(letter) for letter in run]
    return len(run) >= 24 and {"a", "A", "0"} <= set(classes) and _changes(classes) >= 0.3 * len(run)


def _is_random_segment(segment: str) -> bool:
    length = len(segment)
    if length < 16:
        return False
    if length >= 40 or _HEXADECIMAL.fullmatch(segment):
        return not segment.isdecimal() or length > 19
    classes = [_class_of(letter) for letter in segment]
    if "0" in classes:
        return length >= 32 or _changes(classes) >= 0.2 * length
    capitals = classes.count("A")  # about half of random letters, and less in names such as AddToCartClicked
    return length >= 24 and 0.36 * length <= capitals < length


def _class_of(letter: str) -> str:
    if letter.isdigit():
        return "0"
    return "-" if not letter.isalpha() else "A" if letter.isupper() else "a"


def _changes(classes: list[str]) -> int:
    """Return how often letters, capitals and digits follow one another directly."""
    return sum(one != other and "-" not in (one, other) for one, other in pairwise(classes))


def _basic(text: str, found: Found, within: Within) -> str:
    def put(match: re.Match[str]) -> str:
        encoded = match[1]
        if encoded.isalpha() and (encoded.islower() or encoded.istitle() or encoded.isupper()):
            return match[0]  # a word: "basic subscription"
        found.add(Kind.TOKEN)
        return Kind.TOKEN.placeholder

    return _BASIC.sub(put, text)


_BASIC = re.compile(r"(?i:basic)\s{1,3}([A-Za-z0-9+/]{6,}={0,2})")
_NAMED = (
    r"(?i)(?P<name>(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|authorization|cookie|session(?:[_-]?id)?|csrf|otp)"
    r"[\"']?\s{0,3}[=:]\s{0,3})\S+"
)
_KEY = (
    r"(?<![A-Za-z0-9])(?:(?:[psr]k|ct|whsec|gh[opsur]|github_pat|npm|dop_v1|shpat|hf|pypi)_[A-Za-z0-9_-]{8,}"
    r"|(?:glpat|xox[a-z]|xapp|sk)-[A-Za-z0-9_-]{16,}|A[KS]IA[0-9A-Z]{12,}|AIza[A-Za-z0-9_-]{20,})"
)
_JWT = r"eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){0,4}"
_UUID = r"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


class Detector(NamedTuple):
    """A row of the table: it looks at texts that have one of the `signs`, in the places `within`."""

    about: str
    signs: tuple[str, ...]
    within: frozenset[Within]
    replace: Callable[[str, Found, Within], str]


_DIGIT_SIGNS = tuple("0123456789")
_EVERYWHERE = frozenset(Within)
_NOT_IN_IDS = _EVERYWHERE - {Within.ID}
_ANY = ("",)

DETECTORS: tuple[Detector, ...] = (
    Detector("a bearer token", _ANY, _EVERYWHERE, _pattern(Kind.TOKEN, r"(?i)bearer(?:[\s:]|%20){1,3}\S+")),
    Detector("a user and password, encoded", _ANY, _EVERYWHERE, _basic),
    Detector("a JSON web token", ("eyJ",), _EVERYWHERE, _pattern(Kind.TOKEN, _JWT)),
    Detector("a key with a known prefix", ("_", "-", "IA", "AIza"), _EVERYWHERE, _pattern(Kind.TOKEN, _KEY)),
    Detector("a value after a name such as password", ("=", ":"), _NOT_IN_IDS, _pattern(Kind.SECRET, _NAMED, "name")),
    Detector(
        "a query without a url", ("?",), _EVERYWHERE, _pattern(Kind.QUERY, r"(?P<mark>\?)[^\s?#=]{1,100}=\S*", "mark")
    ),
    Detector("a fragment", ("#",), _EVERYWHERE, _pattern(Kind.FRAGMENT, r"(?P<mark>#)[^\s#=]{1,100}=\S*", "mark")),
    Detector(
        "the user in an address",
        ("@",),
        _EVERYWHERE,
        _pattern(Kind.USER, r"(?P<slashes>//)[^/\s@]{1,256}(?=@)", "slashes"),
    ),
    Detector("an e-mail address", ("@", "%40"), _EVERYWHERE, _emails),
    Detector("an IPv6 or hardware address", (":",), _EVERYWHERE, _ipv6),
    Detector("an IPv4 address", (".",), _EVERYWHERE, _ipv4),
    Detector("a UUID", ("-",), _NOT_IN_IDS, _pattern(Kind.TOKEN, _UUID)),
    Detector("a card, a phone or another long number", _ANY, _EVERYWHERE, _numbers),
    Detector("letters and digits that look random", _ANY, _NOT_IN_IDS, _random_runs),
)
"""The detectors in their order: what an earlier one takes out, a later one does not see."""


# Names

NAMES: dict[str, Kind] = {
    **dict.fromkeys(("pin", "pwd", "otp", "auth", "cvc", "cvv", "csrf", "xsrf", "iban", "ssn"), Kind.SECRET),
    **dict.fromkeys(("ip", "remoteaddr", "xforwardedfor"), Kind.IP),
    **dict.fromkeys(("tel", "mobile"), Kind.PHONE),
    **dict.fromkeys(("user", "uid", "login", "username"), Kind.USER),
    **dict.fromkeys(("birthday", "birthdate", "dateofbirth", "dob", "street", "postcode", "zip"), Kind.PERSON),
}
"""Names whose values are taken out, in lower case and without separators."""

NAME_ENDINGS: dict[str, Kind] = {
    **dict.fromkeys(("password", "passwd", "passphrase", "secret", "authorization", "cookie"), Kind.SECRET),
    **dict.fromkeys(("token", "apikey", "privatekey", "projectkey", "jwt"), Kind.TOKEN),
    **dict.fromkeys(("email", "mail", "emailaddress"), Kind.EMAIL),
    **dict.fromkeys(("phone", "phonenumber"), Kind.PHONE),
    **dict.fromkeys(("ipaddress", "clientip"), Kind.IP),
    **dict.fromkeys(("cardnumber", "creditcard"), Kind.CARD),
    **dict.fromkeys(("userid", "customerid"), Kind.USER),
    **dict.fromkeys(("firstname", "lastname", "surname", "fullname"), Kind.PERSON),
}
"""Endings of such names: ``billing_e-mail`` is one, too."""

_SEPARATORS = re.compile("[^a-z0-9]+")


def kind_of_name(name: str) -> Kind | None:
    """Return the kind of the values that have this name; None if their text decides."""
    plain = _SEPARATORS.sub("", name.lower())
    if plain in NAMES:
        return NAMES[plain]
    return next((kind for ending, kind in NAME_ENDINGS.items() if plain.endswith(ending)), None)
