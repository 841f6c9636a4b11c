"""Sockets, HTTP messages, workers, and the bounds of all of them. It knows no route."""
