"""Metering: what was stored, by project and month, and the proof that it is what is billed."""
