"""The core, without I/O."""
