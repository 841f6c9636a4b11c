-- name: see_own_tables
-- For yoyo, which does not name the schema of its tables. What is the system's still comes first, unnamed.
SET search_path = catchment, pg_temp

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

-- name: migrate_lock
-- One migration at a time; let go at the end of the session.
SELECT pg_advisory_lock(hashtext('catchment migrate'))

-- name: was_migrated
-- Whether this database was ever migrated.
SELECT to_regclass('catchment._yoyo_migration') IS NOT NULL

-- name: applied_migrations
-- The migrations that this database has had.
SELECT migration_id FROM catchment._yoyo_migration ORDER BY migration_id

-- name: begin_session
-- How every session of the server behaves. Nothing that other roles have made is seen (first of all: what follows calls
-- functions); a commit that is answered is on disk; every statement has its own snapshot, on which exact quotas rely; rows
-- that a policy hides are an error, not left out; and no event's text gets into the database's log. What the role may not
-- set is left as it is, each by itself. What runs is not tracked, since the postmaster logs the statement of a session
-- that was killed.
SET search_path = pg_catalog, pg_temp;
SELECT set_config('synchronous_commit', 'on', false), set_config('TimeZone', 'UTC', false),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('row_security', 'off', false),
       set_config('jit', 'off', false), set_config('idle_in_transaction_session_timeout', '0', false),
       set_config('idle_session_timeout', '0', false),
       set_config('lock_timeout', %(lock_timeout)s, false),
       set_config('statement_timeout', %(statement_timeout)s, false);
DO $$
DECLARE
    setting text[];
BEGIN
    FOREACH setting SLICE 1 IN ARRAY ARRAY[
        ['log_min_error_statement', 'panic'], ['log_error_verbosity', 'terse'], ['track_activities', 'off'],
        ['session_replication_role', 'origin'], ['transaction_timeout', '0']]
    LOOP
        BEGIN
            PERFORM set_config(setting[1], setting[2], false);
        EXCEPTION WHEN insufficient_privilege OR undefined_object THEN NULL;
        END;
    END LOOP;
END $$

-- name: begin_migrating
-- How a session that migrates behaves: nothing that other roles have made is seen, nothing takes too long, and what
-- fails says so.
SET search_path = pg_catalog, pg_temp;
SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false),
       set_config('idle_in_transaction_session_timeout', '0', false), set_config('TimeZone', 'UTC', false),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('row_security', 'off', false)

-- name: take_your_time
-- In this transaction no statement is too slow; one that nobody waits for any more ends.
SELECT set_config('statement_timeout', '0', true), set_config('client_connection_check_interval', '10s', true)

-- name: meet
-- What a session is: the mark that it carries (and carries ours from now on), the database's time, and what a committed
-- row is worth here (fsync, full page writes, the server's version).
SELECT current_setting('catchment.session', true), set_config('catchment.session', %(mark)s, false), clock_timestamp(),
       current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on', current_setting('server_version')

-- name: identify
-- Who the primary is: its cluster, its timeline (eight hexadecimal digits; null on a standby), and its start.
SELECT (SELECT system_identifier::text FROM pg_control_system()),
       CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END,
       pg_postmaster_start_time()

-- name: today
-- The database's day in UTC.
SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date

-- name: keep_partitions
-- Makes this month's partition and those ahead, one session at a time. The database's clock decides which month it is.
SELECT catchment.keep_partitions(catchment.today(%(today)s), %(months_ahead)s)
FROM (SELECT pg_advisory_xact_lock(hashtext('catchment partitions'))) AS alone

-- name: has_partition
-- Whether a day's month has its partition.
SELECT to_regclass('catchment.event_' || to_char(catchment.today(%(today)s), 'YYYY_MM')) IS NOT NULL

-- name: misplaced_months
-- The months whose events are in the default partition.
SELECT first_day FROM catchment.misplaced_months()

-- name: place_month
-- Moves a month's events out of the default partition; how many.
SELECT catchment.place_month(%(first_day)s)

-- name: forget_ids
-- Deletes a bite of the ids that are older than 32 days. The database's clock decides, since a server's may be wrong.
SELECT catchment.forget_ids(catchment.present(%(now)s) - interval '32 days', %(at_most)s)

-- name: maintenance_lock
-- Whether this session may do the maintenance now; let go at the end of the session.
SELECT pg_try_advisory_lock(hashtext('catchment maintenance'))

-- name: try_lock
-- Whether this session is the only one that holds the lock of this name; let go at the end of the session.
SELECT pg_try_advisory_lock(hashtext(%(name)s))

-- name: let_go
-- Lets go of what this session has locked.
SELECT pg_advisory_unlock_all()

-- name: listens
-- Whether this session is still told what changes.
SELECT 'catchment_changed' = ANY (ARRAY(SELECT pg_listening_channels()))

-- name: heartbeat
-- Whether the other side is there.
SELECT 1

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
