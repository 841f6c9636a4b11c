"""The Python client: against the real server and its rows, and its pure parts by themselves."""
