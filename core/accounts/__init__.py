"""Accounts, projects, keys and quotas: what is administered, and by which rules."""
