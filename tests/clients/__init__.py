"""The distributions that others install: clients of the server, tested against the real one."""
