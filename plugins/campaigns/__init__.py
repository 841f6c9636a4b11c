"""The shipped plugin that reads campaign parameters."""
