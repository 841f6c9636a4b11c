"""The PostgreSQL adapter, on aiopg. All SQL is in `catchment.sql`.

- Sessions: `link` (one session, or several), `candidates` (the addresses to try), `session_checks` (before it is used),
  `errors` (what a failure means), `named_rows` (rows by their columns' names), `low_descriptors` (for `select()`).
- Storing events: `batch_writer` (one transaction), `rows` (events as the procedure takes them), `culprits` (events that
  the database can't hold).
- Looking up: `projects` (the cache of keys), `known_keys`, `key_uses`, `salts` (the salt of a day).
- Managing: `registry` (accounts, projects, keys), `quotas`, `meter` (usage and the audit), `losses`, `scripts`.
- The database itself: `schema` (its version), `migrate`, `maintenance`, `inspect`, `alone` (one program at a time).
- The embedded database: `embedded`, `embedded_folders`.
"""
