"""The SQL texts."""
