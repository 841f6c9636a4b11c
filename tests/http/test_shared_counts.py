"""The files in which workers share their counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from catchment.adapters.http.operations.shared_counts import SIZE, SharedCounts

_WORKER = """
import sys
from pathlib import Path
from catchment.adapters.http.operations.metrics import Metrics
from catchment.adapters.http.operations.shared_counts import SharedCounts

folder, number = Path(sys.argv[1]), int(sys.argv[2])
SharedCounts(folder, 0).join(number)
metrics = Metrics()
metrics.begin(version="1", workers=2, failures=["retry"], plugins=[("bots", "catchment_enrich")])
metrics.committed(7, 0.1)
metrics.quarantined(1)
metrics.gauge(queued=(5, 50), oldest=1.0, connections=3, lag=0.0, up=True, alert=False)
for number in range(50):
    metrics.failed("retry", f"{number:05}")
print(metrics.text().decode())
"""


def told(folder: Path, number: int) -> dict[str, float]:
    """What `/metrics` says in a worker of this number that has counted."""
    command = [sys.executable, "-c", _WORKER, str(folder), str(number)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    lines = [line.rpartition(" ") for line in done.stdout.splitlines() if line and line[0] != "#"]
    return {name: float(value) for name, _, value in lines}


def rooms(folder: Path) -> dict[str, tuple[int, bool]]:
    """The size of each file, and whether the disk has the whole of it."""
    stats = {path.name: path.stat() for path in folder.iterdir()}
    return {name: (found.st_size, found.st_blocks * 512 >= found.st_size) for name, found in stats.items()}


def test_the_room_of_all_counts_is_taken_before_the_first_worker_begins(tmp_path: Path) -> None:
    """Else a worker that counts on a full disk would be killed by SIGBUS."""
    SharedCounts(tmp_path, 2)
    taken = rooms(tmp_path)
    assert set(taken.values()) == {(SIZE, True)}
    for number in (0, 1):
        told(tmp_path, number)
    assert rooms(tmp_path) == taken


def test_without_room_each_worker_counts_for_itself_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "counter_1.db").symlink_to("/dev/full")
    SharedCounts(tmp_path, 2)
    assert "No space left on device" in caplog.text
    assert list(tmp_path.iterdir()) == []
    for number in (0, 1):
        assert told(tmp_path, number)["catchment_quarantined_events_total"] == 1


def test_a_worker_goes_on_with_what_the_one_before_it_counted_and_not_with_its_gauges(tmp_path: Path) -> None:
    counts = SharedCounts(tmp_path, 2)
    told(tmp_path, 1)
    found = told(tmp_path, 0)
    assert (found["catchment_quarantined_events_total"], found["catchment_queue_events"]) == (2, 10)
    counts.forget(0)
    found = told(tmp_path, 1)
    assert (found["catchment_quarantined_events_total"], found["catchment_queue_events"]) == (3, 5)
    found = told(tmp_path, 0)
    assert (found["catchment_quarantined_events_total"], found["catchment_queue_events"]) == (4, 10)
    assert found["catchment_commit_events_sum"] == 28


def test_a_worker_whose_files_are_gone_counts_for_itself(tmp_path: Path) -> None:
    counts = SharedCounts(tmp_path, 2)
    for path in tmp_path.iterdir():
        path.unlink()
    counts.forget(0)
    assert told(tmp_path, 0)["catchment_quarantined_events_total"] == 1
    assert list(tmp_path.iterdir()) == []
