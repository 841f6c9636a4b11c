"""The demonstration website."""
