"""Writing regularly what is added up in memory."""

from __future__ import annotations

import asyncio

import pytest

from catchment.core.metering import flushing
from catchment.core.metering.flushing import Flushing

from ..support.waiting import eventually

pytestmark = pytest.mark.gen_test


class Tally:
    """Counts how often it is written, and fails if it is told."""

    def __init__(self, *, failing: bool = False) -> None:
        self.written = 0
        self.failing = failing

    async def flush(self) -> None:
        self.written += 1
        if self.failing:
            raise RuntimeError("a secret")


async def test_all_is_written_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flushing, "FLUSH_SECONDS", 0.001)
    one, other = Tally(), Tally()
    writing = Flushing(one.flush, other.flush)
    writing.start()
    await eventually(lambda: min(one.written, other.written) > 2, "both are written three times")
    await writing.close()


async def test_what_is_left_is_written_at_the_end_once() -> None:
    tally = Tally()
    writing = Flushing(tally.flush)
    writing.start()
    async with asyncio.timeout(flushing.FLUSH_SECONDS):
        await writing.close()
    assert tally.written == 1


async def test_one_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    good = Tally()
    writing = Flushing(Tally(failing=True).flush, good.flush)
    writing.start()
    await writing.close()
    assert good.written == 1
    assert "a secret" not in caplog.text


async def test_an_end_without_a_beginning_writes_nothing() -> None:
    tally = Tally()
    await Flushing(tally.flush).close()
    assert tally.written == 0
