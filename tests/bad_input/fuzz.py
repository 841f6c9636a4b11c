"""Looks for bodies that break the decoder or the collecting path, for as long as you like::

    python -m tests.bad_input.fuzz --seconds 600
    python -m tests.bad_input.fuzz --seconds 600 --engine atheris

`hypothesis` makes bodies by the rules of `strategies.py` and shrinks what fails; `atheris` (pip install atheris; Linux)
follows the code's branches. Both start from the files in `corpus/`, and put what fails there: mend the code, keep the
file, and give it a name that says what it is. The tests replay all of them. Exits with 1 where something was found.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
import traceback
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
_GROWN = Path(__file__).parents[2] / ".hypothesis" / "atheris"
"""Where atheris keeps what led it into new branches, for its next run; not in the repository."""
_ROUND = 500
_LONGEST = 16 * 1024
_SLOW = 10
"""Seconds after which a body is a finding for its slowness."""


def by_hypothesis(seconds: float, corpus: Path = CORPUS) -> int:
    """Rounds of examples until the time is over or one fails; that one, shrunk, goes into the corpus."""
    from hypothesis import HealthCheck, Phase, given, settings

    from .oracle import Oracle
    from .strategies import bodies

    tried = 0
    smallest = b""
    with Oracle() as oracle:

        @settings(
            max_examples=_ROUND,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        )
        @given(body=bodies())
        def one_round(body: bytes) -> None:
            nonlocal tried, smallest
            tried += 1
            try:
                oracle.judge(body)
            except Exception:
                smallest = body  # the last that fails is the smallest
                raise

        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                one_round()
        except Exception:
            traceback.print_exc()
            found = corpus / f"found-{hashlib.sha256(smallest).hexdigest()[:12]}"
            found.write_bytes(smallest)
            print(f"after {tried} bodies: {found}")
            return 1
    print(f"{tried} bodies, and nothing found")
    return 0


def by_atheris(seconds: float) -> int:
    """libFuzzer, guided by the branches of our code and of the standard library's decoder."""
    try:
        import atheris
    except ImportError:
        print("atheris is not installed: pip install atheris, or use --engine hypothesis", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=["catchment", "json"]):
        from .oracle import Oracle
    _GROWN.mkdir(parents=True, exist_ok=True)
    options = {
        "max_total_time": int(seconds),
        "max_len": _LONGEST,
        "timeout": _SLOW,
        "artifact_prefix": f"{CORPUS}/found-",
    }
    with Oracle() as oracle:
        atheris.Setup(
            [sys.argv[0], *(f"-{name}={value}" for name, value in options.items()), str(_GROWN), str(CORPUS)],
            oracle.judge,
        )
        atheris.Fuzz()  # ends the process
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bad_input.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--engine", choices=["hypothesis", "atheris"], default="hypothesis")
    chosen = parser.parse_args()
    return by_hypothesis(chosen.seconds) if chosen.engine == "hypothesis" else by_atheris(chosen.seconds)


if __name__ == "__main__":
    sys.exit(main())
