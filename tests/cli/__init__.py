"""The command line, on the memory adapters."""
