-- name: begin_migrating
-- Set how a session that migrates behaves: nothing that other roles have made is found, nothing takes too long, and
-- hidden rows are an error.
SET search_path = pg_catalog, pg_temp;
SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false),
       set_config('idle_in_transaction_session_timeout', '0', false), set_config('TimeZone', 'UTC', false),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('row_security', 'off', false)

-- name: migrate_lock
-- Take the lock of migrations, until the end of the session: one at a time.
SELECT pg_advisory_lock(hashtext(%(name)s))

-- name: encoding
-- Return how this database stores text.
SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()

-- name: foreign_schema
-- Return the role that owns the schema, if this role does not belong to it.
SELECT pg_get_userbyid(nspowner) FROM pg_namespace
WHERE nspname = 'catchment' AND NOT pg_has_role(nspowner, 'USAGE')

-- name: make_schema
-- Create the schema that holds everything.
CREATE SCHEMA IF NOT EXISTS catchment

-- name: see_own_tables
-- Let yoyo find its own tables, whose schema it does not name. The system's tables still come first.
SET search_path = catchment, pg_temp

-- name: was_migrated
-- True if this database was ever migrated.
SELECT to_regclass('catchment._yoyo_migration') IS NOT NULL

-- name: applied_migrations
-- Return the migrations that were applied.
SELECT migration_id FROM catchment._yoyo_migration ORDER BY migration_id

-- name: today
-- Return the database's day in UTC.
SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date

-- name: inspect_database
-- Return what `catchment config check` looks at. Changes nothing. The schema's column is null before the first
-- migration.
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
