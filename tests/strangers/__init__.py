"""Strangers: what somebody from one address can do to the others, with little bandwidth and no key that is worth one.

`attacks.py` has the attacks, each a kind of request that costs its sender little; it runs as a process of its own.
"""
