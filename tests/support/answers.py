"""The answer to a request, as every client of the tests returns it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float = 0.0
    """From the request to the answer, if the client measures it."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem, else the outcome; `batch` if every event has its own."""
        said = self.json
        return str(said["code"] if self.status != 200 else said.get("outcome", "batch"))
