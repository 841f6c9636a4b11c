"""A plugin of one module, installed in a folder of its own."""

from __future__ import annotations

import os
from pathlib import Path


def install_plugin(folder: Path, name: str, code: str) -> str:
    """Install a plugin of this name and code in `folder`. Return the `PYTHONPATH` with which it is found."""
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(f"[catchment]\n{name} = {name}\n", encoding="utf-8")
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
