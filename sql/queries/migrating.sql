-- name: begin_migrating
-- How a session that migrates behaves: nothing that other roles have made is seen, nothing takes too long, and what
-- fails says so.
SET search_path = pg_catalog, pg_temp;
SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false),
       set_config('idle_in_transaction_session_timeout', '0', false), set_config('TimeZone', 'UTC', false),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('row_security', 'off', false)

-- name: migrate_lock
-- One migration at a time; let go at the end of the session.
SELECT pg_advisory_lock(hashtext('catchment migrate'))

-- name: encoding
-- How this database stores text.
SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()

-- name: foreign_schema
-- The role that owns the schema, if it is one that this role does not belong to.
SELECT pg_get_userbyid(nspowner) FROM pg_namespace
WHERE nspname = 'catchment' AND NOT pg_has_role(nspowner, 'USAGE')

-- name: make_schema
-- Where everything lives.
CREATE SCHEMA IF NOT EXISTS catchment

-- name: see_own_tables
-- For yoyo, which does not name the schema of its tables. What is the system's still comes first, unnamed.
SET search_path = catchment, pg_temp

-- name: was_migrated
-- Whether this database was ever migrated.
SELECT to_regclass('catchment._yoyo_migration') IS NOT NULL

-- name: applied_migrations
-- The migrations that this database has had.
SELECT migration_id FROM catchment._yoyo_migration ORDER BY migration_id

-- name: today
-- The database's day in UTC.
SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date

-- name: inspect_database
-- What `catchment config check` looks at; changes nothing. There is no schema (null) before the first migration.
SET search_path = pg_catalog, pg_temp;
SELECT current_setting('server_version_num')::integer AS version_number, current_setting('server_version') AS version,
       current_setting('fsync') = 'on' AS fsync, current_setting('full_page_writes') = 'on' AS full_page_writes,
       pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on' AS read_only,
       extract(epoch FROM clock_timestamp())::float8 AS clock, pg_backend_pid() AS process,
       current_setting('server_encoding') AS encoding,
       has_database_privilege(current_database(), 'CREATE') AS may_create,
       (SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = 'catchment') AS may_use_schema,
       current_setting('max_connections')::integer AS most_sessions,
       current_setting('log_min_error_statement') IN ('fatal', 'panic')
           OR has_parameter_privilege('log_min_error_statement', 'SET') AS keeps_statements_out_of_its_log
