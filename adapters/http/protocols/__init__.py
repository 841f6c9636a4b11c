"""The wire protocols: one module for each way of sending events."""
