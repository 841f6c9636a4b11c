"""Faults 9, 10 and 20: a disk that is full, or fails."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ..support.waiting import wait_until
from .load import event, new_id
from .postgres import cluster, find_programs, short_folder
from .processes import family
from .rig import BACK, KILLS, Rig, prepare


class SmallDisk:
    """A file system in memory, of so many MiB."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def grow(self, mebibytes: int) -> None:
        options = f"remount,size={mebibytes}m"
        subprocess.run(["mount", "-o", options, str(self.folder)], check=True, capture_output=True)

    @property
    def free(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self) -> None:
        """Takes all the room there is."""
        with contextlib.suppress(OSError), (self.folder / "filler").open("ab", buffering=0) as filler:
            while True:
                filler.write(bytes(65536))

    def make_room(self) -> None:
        (self.folder / "filler").unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(mebibytes: int) -> Iterator[SmallDisk]:
    """Skips where this machine, or this user, can't mount one."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    with short_folder() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0755", "tmpfs", str(folder)]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
        try:
            yield SmallDisk(folder)
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


def _of_postgres(folder: Path) -> Path:
    user = find_programs().user
    if user is not None:
        shutil.chown(folder, user)
    return folder


def test_a_full_disk_under_the_events_is_sent_again_and_never_taken_for_bad_data(rig: Rig) -> None:
    with small_disk(4) as disk:
        place = disk.folder / "tablespace"
        place.mkdir()
        name = f"small_{os.getpid()}"
        rig.execute(f"CREATE TABLESPACE {name} LOCATION '{_of_postgres(place)}'")
        month = f"event_{datetime.now(UTC):%Y_%m}"
        rig.execute(f"ALTER TABLE catchment.{month} SET TABLESPACE {name}")
        try:
            server = rig.serve()
            load = rig.load(rate=200)
            load.wait_for(20)
            for _ in range(2):
                disk.fill()
                wait_until(lambda: server.metric("catchment_database_failures_total", 'sqlstate="53100"') > 3, "full")
                disk.make_room()
                load.wait_for(50, within=BACK)
            load.settle()
            rig.judge()
            assert rig.one("SELECT count(*) FROM catchment.quarantine") == 0
            assert not rig.book.unanswered
        finally:
            disk.make_room()
            rig.execute(f"ALTER TABLE catchment.{month} SET TABLESPACE pg_default")
            rig.execute(f"DROP TABLESPACE {name}")


def test_a_full_disk_under_the_log_of_transactions_loses_no_event(tmp_path: Path) -> None:
    """PostgreSQL panics, and does not start again until there is room."""
    with small_disk(24) as disk:
        wal = disk.folder / "wal"
        wal.mkdir()
        with cluster(wal=_of_postgres(wal)) as made:
            made.configure({"max_wal_size": "4MB", "min_wal_size": "2MB", "wal_recycle": "off", "wal_init_zero": "on"})
            sites = prepare(made)
            made.restart()
            rig = Rig(made, sites, tmp_path)
            try:
                server = rig.serve()
                load = rig.load(rate=200)
                load.wait_for(100)

                def stands_still() -> bool:
                    disk.fill()  # again, since a checkpoint makes room
                    return server.status("/readyz") == 503 or not made.answers()

                wait_until(stands_still, "PostgreSQL stands still", 60)
                disk.make_room()
                disk.grow(64)
                made.heal()
                load.wait_for(50, within=30)
                load.settle()
                rig.judge()
                assert server.running
                assert "No space left on device" in rig.database_log()
                assert rig.one("SELECT count(*) FROM catchment.quarantine") == 0
            finally:
                disk.make_room()
                rig.close()


@pytest.mark.at_most(60 + 4 * KILLS)
def test_an_fsync_that_fails_loses_no_event(rig: Rig) -> None:
    """PostgreSQL panics, and recovers from what is on disk. Its processes are made to see EIO by strace."""
    if shutil.which("strace") is None:
        pytest.skip("strace, which makes a system call fail, is not installed")
    rig.serve()
    load = rig.load()
    for _ in range(max(1, KILLS // 10)):
        load.wait_for(30)
        panics = rig.database_log().count("PANIC:")
        with _failing_fsync(rig):
            wait_until(lambda before=panics: rig.database_log().count("PANIC:") > before, "PostgreSQL panics")
        rig.cluster.heal()
        load.wait_for(20, within=BACK)
    load.settle()
    rig.judge()


@contextlib.contextmanager
def _failing_fsync(rig: Rig) -> Iterator[None]:
    assert rig.cluster.process is not None
    pids = [rig.cluster.process.pid, *(child.pid for child in rig.cluster.children())]
    calls = "fsync,fdatasync"
    command = ["strace", "-f", "-qq", "-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO", "-o", os.devnull]
    for pid in pids:
        command += ["-p", str(pid)]
    with (rig.folder / "strace").open("w+") as said:
        strace = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            wait_until(lambda: strace.poll() is not None or _traced(pids[0]), "strace is attached")
            if strace.poll() is not None and not _traced(pids[0]):
                said.seek(0)
                pytest.skip(f"strace can't attach here: {said.read().strip()}")
            yield
        finally:
            strace.terminate()
            strace.wait(10)


def _traced(pid: int) -> bool:
    with contextlib.suppress(OSError):
        found = re.search(r"^TracerPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii"), re.MULTILINE)
        return found is not None and found[1] != "0"
    return False


def test_a_log_that_takes_nothing_stops_no_collecting(rig: Rig) -> None:
    with Path("/dev/full").open("wb") as full:
        server = rig.serve(stderr=full, LOG__LEVEL="debug")
    _collects_while_it_has_much_to_say(rig)
    rig.judge()
    assert server.running


def test_a_log_whose_disk_fills_up_stops_no_collecting(rig: Rig) -> None:
    """Full is here what a process may write at most; the error of the system call is another one, no more."""
    server = rig.serve(workers=2, LOG__LEVEL="debug")
    _collects_while_it_has_much_to_say(rig)
    server.limit(resource.RLIMIT_FSIZE, len(server.log.read_bytes()))
    size = server.log.stat().st_size
    _collects_while_it_has_much_to_say(rig)
    assert server.log.stat().st_size == size
    rig.judge()
    assert server.running


def test_a_log_on_a_full_disk_stops_no_collecting(rig: Rig) -> None:
    with small_disk(1) as disk:
        disk.fill()
        with (disk.folder / "log").open("ab") as log:
            server = rig.serve(stderr=log, LOG__LEVEL="debug")
        _collects_while_it_has_much_to_say(rig)
        server.kill()
    rig.judge()


def _collects_while_it_has_much_to_say(rig: Rig) -> None:
    rig.terminate_sessions()
    rig.wait_stores()
    rig.before_each_event("RAISE EXCEPTION 'a fault' USING ERRCODE = '42501'")
    assert {rig.post().status for _ in range(3)} == {503}
    rig.no_fault()
    sent = event(new_id())
    assert rig.post(sent).code == "stored"


def test_a_full_temporary_folder_kills_no_worker(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers count through memory that is a file there: without room on the disk the system would kill them."""
    with small_disk(2) as disk:
        monkeypatch.setenv("TMPDIR", str(disk.folder))
        server = rig.serve(workers=2)
        disk.fill()
        killed = family(server.process)[0]
        killed.kill()
        wait_until(lambda: len([one for one in family(server.process) if one != killed]) == 2, "it is replaced")
        for number in range(40):
            assert rig.post(event(new_id(), event_name="" if number % 2 else "good")).status in (200, 400)
        wait_until(
            lambda: server.metric("catchment_events_total", 'outcome="refused"', 'reason="invalid_event"') == 20,
            "they are counted",
        )
        assert server.log_text().count(" died: ") == server.log_text().count("SIGKILL") == 1
        server.kill()
    rig.judge()
