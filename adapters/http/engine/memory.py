"""The memory budget for requests: a limit for all of them together, and a smaller one for each client address."""

from __future__ import annotations

_SMALL = 256 * 1024
"""A request that holds more may use only half of the budget: large bodies never displace small ones."""
_KEPT = 1024 * 1024
"""The last part of the budget is for bodies that are whole: bodies that never end cannot displace them."""
_LEAST = 8 * 1024 * 1024
"""The least limit of an address: a few of the largest batches."""
_VALUES = 16 * 1024 * 1024
"""Beside its bodies an address may hold so much for their values: enough for any one batch. Else its bodies would wait
for memory that they hold themselves."""


class MemoryBudget:
    """The bytes that all requests of a worker may hold together. One address may hold an eighth."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.share = max(_LEAST, size // 8)
        self.for_unfinished = size - min(_KEPT, size // 8)
        self.held = 0
        self.held_by: dict[str | None, int] = {}
        """Bytes by address, for addresses that hold any."""


class Reservation:
    """The part of the budget that one request holds: its body as it comes in, then an estimate of its values."""

    __slots__ = ("_budget", "_share", "_size")

    def __init__(self, budget: MemoryBudget, share: str | None = None) -> None:
        self._budget = budget
        self._share = share
        self._size = 0

    def add(self, size: int, *, whole: bool = True) -> bool:
        """Reserve more bytes for a body; return False if there is no memory. `whole`: the body is complete."""
        return self._add(size, self._budget.size if whole else self._budget.for_unfinished, self._budget.share)

    def add_values(self, size: int) -> bool:
        """Reserve memory for the values of a body; return False if there is none."""
        return self._add(size, self._budget.size, self._budget.share + _VALUES)

    def _add(self, size: int, most: int, most_of_one: int) -> bool:
        budget = self._budget
        held, of_one = budget.held + size, budget.held_by.get(self._share, 0) + size
        if held > (most if self._size + size <= _SMALL else budget.size // 2) or of_one > most_of_one:
            return False
        self._size += size
        budget.held = held
        budget.held_by[self._share] = of_one
        return True

    def release(self) -> None:
        """Give everything back. Does nothing the second time."""
        if not self._size:
            return
        budget = self._budget
        budget.held -= self._size
        left = budget.held_by[self._share] - self._size
        if left:
            budget.held_by[self._share] = left
        else:
            del budget.held_by[self._share]
        self._size = 0
