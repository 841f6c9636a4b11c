"""The whole thing: the real server as a process, the real command, a real database."""
