"""The shipped plugin that locates an address."""
