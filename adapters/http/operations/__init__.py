"""The routes for operators: health, its metrics, its description, and the page at `/`."""
