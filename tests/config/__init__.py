"""Settings, and what the composition root makes of them."""
