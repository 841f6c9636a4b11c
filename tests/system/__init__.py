"""The adapters of the machine."""
