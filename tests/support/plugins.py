"""Plugins of a test's own, installed for the processes that it starts."""

from __future__ import annotations

import os
from pathlib import Path


def install_plugin(folder: Path, name: str, text: str) -> dict[str, str]:
    """Install a plugin of one module into a folder. Return the environment of a process that finds it."""
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(f"[catchment]\n{name} = {name}\n", encoding="utf-8")
    return {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])}
