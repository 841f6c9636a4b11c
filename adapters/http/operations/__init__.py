"""What operators ask a server: its health, its metrics, its description, and the page at `/`."""
