"""docs/websites.md, 'From nothing to the first event', as a person pastes it into three terminals."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..support.running import COMMAND, COMMAND_SECONDS, Installation
from ..support.waiting import wait_until

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "websites.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    _, _, rest = PAGE.partition(f"\n## {heading}\n")
    assert rest, f"there is no section {heading!r}"
    return rest.partition("\n## ")[0]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.M | re.S)


FIRST = section("From nothing to the first event")


@dataclass(frozen=True, slots=True)
class Pasted:
    """What there is once the blocks up to the website's server were pasted."""

    address: str
    """The page's, as the text says it."""
    page: str
    """The page, as its server hands it out."""
    server: str
    usage: tuple[str, list[str]]
    """The command that shows what there is, and what it prints, as documented."""
    folder: Path
    environment: dict[str, str]

    def paste(self, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euc", text],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )


def _free_ports(count: int) -> list[str]:
    """Below those that systems hand out by themselves: it is a while until somebody binds them."""
    found: list[str] = []
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            found.append(str(port))
        if len(found) == count:
            break
    return found


@contextlib.contextmanager
def pasted(installation: Installation) -> Iterator[Pasted]:
    """Literally, but for the ports, which others may have, and for the database, which is the installation's."""
    ports = dict(zip(("8080", "8000"), _free_ports(2), strict=True))

    def here(text: str) -> str:
        return re.sub(r"\b(8080|8000)\b", lambda found: ports[found[0]], text)

    folder = installation.folder / "pasted"
    programs = folder / "bin"
    programs.mkdir(parents=True)
    command = programs / "catchment"
    command.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    command.chmod(0o755)
    (programs / "python3").symlink_to(sys.executable)
    environment = {
        **installation.env(),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "CATCHMENT_HTTP__PORT": ports["8080"],
        "CATCHMENT_HTTP__PUBLIC_URL": f"http://localhost:{ports['8080']}",
    }
    serve, make, website, *_ = [here(block) for block in blocks(FIRST, "sh")]
    (console,) = blocks(FIRST, "console")
    asked, *printed = console.splitlines()
    (address,) = re.findall(r"Open <(.*?)>", here(FIRST))
    shown = (asked.removeprefix("$ "), printed)
    result = Pasted(address, "", f"http://localhost:{ports['8080']}", shown, folder, environment)

    def reached(url: str) -> str | None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
            text: str = answer.read().decode()
            return text
        return None

    with contextlib.ExitStack() as stack:

        def start(text: str) -> None:
            process = subprocess.Popen(
                ["bash", "-euc", text],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

            def end() -> None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                process.wait(20)

            stack.callback(end)

        start(serve)
        wait_until(lambda: reached(f"{result.server}/readyz"), "the server is ready")
        done = result.paste(make)
        assert done.returncode == 0, done
        start(website)
        page = wait_until(lambda: reached(address), "the page is there")
        yield Pasted(address, page, result.server, shown, folder, environment)


def check_usage(here: Pasted) -> None:
    """Two events are there, and are shown as the text shows them; the month is another one."""
    command, expected = here.usage
    shown = here.paste(command).stdout.splitlines()
    assert shown[0].split() == expected[0].split()
    assert [line.split()[:2] + line.split()[3:] for line in shown[1:]] == [
        line.split()[:2] + line.split()[3:] for line in expected[1:]
    ]
