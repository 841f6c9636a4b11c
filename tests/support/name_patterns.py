r"""Cases of patterns of event names, for the Python and for PostgreSQL's evaluation of them alike.

A test of SQL evaluates ``name COLLATE "C" LIKE like ESCAPE '\'`` with `NamePattern.like`, for each case and for pairs
from the strategies. It expects what `NamePattern.matches` returns.
"""

from __future__ import annotations

from hypothesis import strategies as st

CASES: tuple[tuple[str, str, bool], ...] = (
    # pattern, name, matches
    ("*", "SignUp", True),
    ("*", "", True),
    ("Click", "Click", True),
    ("Click", "Clicks", False),
    ("Click", "aClick", False),
    ("Click*", "Click", True),
    ("Click*", "ClickBuy", True),
    ("Click*", "click", False),
    ("Click*", "aClick", False),
    ("*Click", "ButtonClick", True),
    ("*Click", "Clicks", False),
    ("*Click*", "aClicks", True),
    ("a*a", "a", False),
    ("a*a", "aa", True),
    ("a*a", "aba", True),
    ("ab*ba", "aba", False),
    ("a*b*c", "aXbXc", True),
    ("a*b*c", "acb", False),
    ("a*bc*c", "abcbc", True),
    ("*ab*ab*", "abab", True),
    ("*ab*ab*", "aba", False),
    ("a**b", "ab", True),
    # What is special to LIKE is not special here.
    ("100%", "100%", True),
    ("100%", "1000", False),
    ("a%b", "aXb", False),
    ("a_b", "a_b", True),
    ("a_b", "aXb", False),
    ("*_", "a_", True),
    ("*_", "ab", False),
    # Escapes.
    (r"a\*b", "a*b", True),
    (r"a\*b", "aXb", False),
    (r"a\\b", r"a\b", True),
    (r"a\\*", "a\\", True),
    (r"a\\*", r"a\anything", True),
    (r"a\\", "a\\", True),
    (r"\\%", r"\%", True),
    (r"\\%", "%", False),
    (r"\\_", "a", False),
    (r"\**", "*x", True),
    (r"\**", "x", False),
    # What is special to other languages of patterns.
    ("a?", "ab", False),
    ("[ab]", "a", False),
    ("a.c", "abc", False),
    ("^a$", "a", False),
    # Blanks, line ends, and letters of any language.
    ("a*", "a\nb", True),
    ("a *", "a b", True),
    ("a *", "ab", False),
    ("Kauf*", "Käufe", False),
    ("Käuf*", "Käufe", True),
    ("K\u00e4*", "Ka\u0308ufe", False),
    ("k\u00e4*", "K\u00c4ufe", False),
    ("注*", "注文", True),
    ("*🛒", "in 🛒", True),
    ("stra\u00dfe", "strasse", False),
)

# An alphabet this small makes names that nearly match.
names = st.text("ab%_\\*\nä", max_size=12)
tokens = st.sampled_from(["*", r"\*", "\\\\", "a", "b", "%", "_", "\n", "ä"])
patterns = st.lists(tokens, min_size=1, max_size=8).map("".join).filter(lambda text: text.count("*") <= 5)
