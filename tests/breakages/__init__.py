"""Deliberate breakages: the code is broken on purpose, and the tests must notice. `make breakages` runs them.

`breakage` says what a breakage is. `durability` lists those that the fault suite notices, `rules` those that ordinary
tests notice. A breakage names a text of the code and the text that replaces it, the tests that must fail, and the words
with which they fail.
"""

from .durability import DURABILITY
from .rules import RULES

BREAKAGES = (*DURABILITY, *RULES)
