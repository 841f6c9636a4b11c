"""The HTTP adapter, on Tornado."""
