"""Administration: accounts, projects, keys and quotas, and their rules."""
