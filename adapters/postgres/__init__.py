"""The PostgreSQL adapter, on aiopg."""
