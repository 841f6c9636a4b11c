"""The example in the docstring of `catchment.core` is a program that runs."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import catchment.core


def test_the_smallest_program_stores_an_event() -> None:
    text = catchment.core.__doc__ or ""
    program = textwrap.dedent(text.partition("::\n")[2].partition("\nThe concepts")[0])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("stored\n", "")
