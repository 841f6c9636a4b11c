"""Collecting: from the request that a website sent to the receipt of each event."""
