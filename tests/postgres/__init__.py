"""What only the PostgreSQL adapter promises: its guards, its faults, its schema."""
