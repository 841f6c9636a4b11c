"""Bodies for fuzzing: any bytes, texts that are nearly JSON, events that are nearly good, mutations of the corpus."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

from catchment.core.event import KNOWN_FIELDS

CORPUS = Path(__file__).parent / "corpus"


def corpus() -> list[Path]:
    """Every input that was once of interest."""
    return sorted(path for path in CORPUS.iterdir() if path.is_file() and not path.name.startswith("."))


ESCAPES = (
    r"\u0000",
    r"\ud800",
    r"\udfff",
    r"\ud83d\udca7",
    r"\udca7\ud83d",
    r"\uFFFF",
    r"\n",
    r"\/",
    r"\"",
    r"\x",
    r"\u12",
)
RAW = (
    "\x00",
    "\x1f",
    "\x7f",
    "\x85",
    "\u2028",
    "\ufeff",
    "\ufffd",
    "\U0010ffff",
    "\u202e",
    "é",
    "A",
    " ",
    "\\",
    '"',
    "'",
)
NUMBERS = (
    "0", "-0", "-0.0", "1", "01", "+1", "1.", ".5", "1e5", "1E+5", "1e-400", "1e308", "2e308", "1e400", "NaN",
    "Infinity", "9007199254740993", "9007199254740993.0", "18446744073709551616", "-9223372036854775809", "0.1",
    "1e", "123456789012345678901234567890", "9" * 310, "9" * 400 + ".5", "9" * 4300, "9" * 4301, "5e-324",
    "2.2250738585072011e-308",
)  # fmt: skip
WORDS = ("null", "true", "false", "True", "None", "undefined", "", "nul")
URLS = (
    "https://example.com/", "https://example.com:443/a?b#c", "https://example.com@evil.com/", "https://evil.com\\@example.com/",
    "javascript:alert(1)", "https://example.com./", "https:///", "https://[::1]/", "//example.com", "https://example.com/\\u0000",
)  # fmt: skip
TIMES = (
    "infinity", "2026-11-02T12:00:00Z", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-14:00", "2026-11-02 12:00", "2026-11-02T24:00:00Z", "2026-11-02T12:00:60Z",
    "1970-01-01T00:00:00Z",
)  # fmt: skip

_pieces = st.one_of(st.sampled_from(ESCAPES + RAW), st.text(max_size=5))
_strings = st.one_of(
    st.lists(_pieces, max_size=5).map(lambda pieces: '"' + "".join(pieces) + '"'),
    st.text(max_size=20).map(json.dumps),
    st.sampled_from(URLS + TIMES).map(json.dumps),
    st.sampled_from([64, 65, 100, 101, 120, 121, 200, 201, 513, 1025, 2001, 2049]).map(lambda n: '"' + "x" * n + '"'),
)
_numbers = st.one_of(
    st.sampled_from(NUMBERS),
    st.from_regex(r"-?[0-9]{1,25}(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)
_leaves = st.one_of(_strings, _numbers, st.sampled_from(WORDS))
_blanks = st.sampled_from(["", "", "", " ", "\n", "\t", "\r\n", "\x0c", "\u00a0", "/**/"])


def _array(items: Sequence[str]) -> str:
    return "[" + ",".join(items) + "]"


def _object(members: Sequence[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{name}:{value}" for name, value in members) + "}"


values = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(_array),
        st.lists(st.tuples(_strings, inner), max_size=4).map(_object),
        st.tuples(_blanks, inner, _blanks).map("".join),
        st.tuples(inner, st.integers(1, 70)).map(lambda pair: "[" * pair[1] + pair[0] + "]" * pair[1]),
    ),
    max_leaves=12,
)
"""Texts that are JSON, or nearly."""

_names = st.sampled_from(sorted(KNOWN_FIELDS)).map(json.dumps)
events = st.builds(
    lambda name, url, members: _object([('"event_name"', name), ('"url"', url), *members]),
    st.one_of(st.just('"SignUp"'), _strings),
    st.one_of(st.just('"https://example.com/pricing"'), st.sampled_from(URLS).map(json.dumps), values),
    st.lists(
        st.one_of(
            st.tuples(st.just('"event_data"'), st.lists(st.tuples(_strings, values), max_size=5).map(_object)),
            st.tuples(st.just('"timestamp"'), st.sampled_from(TIMES).map(json.dumps)),
            st.tuples(_names, values),
            st.tuples(_strings, values),
        ),
        max_size=5,
    ),
)
"""Texts of events whose fields are good, or nearly."""

_batches = st.one_of(
    st.lists(events, max_size=4).map(_array),
    st.lists(st.one_of(events, values), max_size=4).map("\n".join),
    st.builds(
        lambda sent, inner: f'{{"sentAt":{sent},"events":{_array(inner)}}}', values, st.lists(events, max_size=3)
    ),
)
_encodings = st.sampled_from(["utf-8"] * 12 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"])


def _encoded(text: str, encoding: str) -> bytes:
    return text.encode(encoding, "replace" if encoding == "latin-1" else "surrogatepass")


texts = st.builds(_encoded, st.one_of(events, values, _batches), _encodings)


@st.composite
def mutations(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """A seed in which something was left out, put in, or said twice."""
    body = draw(st.sampled_from(seeds))[:20_000]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 8)))
        put = draw(
            st.one_of(
                st.binary(max_size=4),
                st.sampled_from(
                    [b"", b'"', b"\\", b"\x00", b"\xed\xa0\x80", b"{", b"]", b",", b":", b"1e400", b"\xff"]
                ),
                st.just(body[start:end] * 2),
            )
        )
        body = body[:start] + put + body[end:]
    return body


def bodies() -> st.SearchStrategy[bytes]:
    """Anything that may come in."""
    seeds = [path.read_bytes() for path in corpus()]
    return st.one_of(texts, mutations(seeds), texts.flatmap(lambda text: mutations([text])), st.binary(max_size=200))
