"""The scripts that websites load."""
