"""Text from outside never steers the terminal that shows it."""

from __future__ import annotations

import json

import pytest

from catchment.core.plain import plain, plain_json, plain_lines

STEERING = {
    "ESC": "\x1b[2J",
    "OSC": "\x1b]0;title\x07",
    "C1": "\x9b2J",
    "CR": "\rstored",
    "line feed": "\n",
    "delete": "\x7f",
    "turned": "\u202egnp.exe",
    "isolated": "\u2066a\u2069",
    "zero width": "\u200b",
    "line separator": "\u2028",
    "half a character": "\ud800",
}


@pytest.mark.parametrize("text", STEERING.values(), ids=STEERING)
def test_what_a_terminal_could_obey_is_replaced_and_in_json_escaped(text: str) -> None:
    assert plain(text)[0] == "\ufffd"
    assert not set(plain(text)) & set("\x1b\x07\x9b\r\n\x7f\u202e\u2066\u2069\u200b\u2028\ud800")
    line = plain_json({"name": text})
    assert line.isprintable()
    assert json.loads(line) == {"name": text}


@pytest.mark.parametrize("text", ["", "Müller", "東京\u3000店", "a\xa0b", "😀", "x\u0308"])
def test_what_can_be_read_stays_as_it_is(text: str) -> None:
    assert plain(text) == text
    assert plain_json([text]) == f'["{text}"]'


def test_lines_stay_lines() -> None:
    assert plain_lines("one\ntwo\rthree\n") == "one\ntwo\ufffdthree\n"
