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

-- name: meet
-- What a session is: the mark that it carries (and carries ours from now on), the database's time, and what a committed
-- row is worth here (fsync, full page writes, the server's version).
SELECT current_setting('catchment.session', true) AS mark, set_config('catchment.session', %(mark)s, false),
       clock_timestamp() AS clock, current_setting('fsync') = 'on' AS fsync,
       current_setting('full_page_writes') = 'on' AS full_page_writes, current_setting('server_version') AS version

-- name: identify
-- Who the primary is: its cluster, its timeline (eight hexadecimal digits; null on a standby), and its start.
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system,
       CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline,
       pg_postmaster_start_time() AS started

-- name: heartbeat
-- Whether the other side is there.
SELECT 1

-- name: listen
-- From now on, what changes is announced to this session.
LISTEN catchment_changed

-- name: listens
-- Whether this session is still told what changes.
SELECT 'catchment_changed' = ANY (ARRAY(SELECT pg_listening_channels()))

-- name: take_your_time
-- In this transaction no statement is too slow; one that nobody waits for any more ends.
SELECT set_config('statement_timeout', '0', true), set_config('client_connection_check_interval', '10s', true)

-- name: try_lock
-- Whether this session is the only one that holds the lock of this name; let go at the end of the session.
SELECT pg_try_advisory_lock(hashtext(%(name)s))

-- name: let_go
-- Lets go of what this session has locked.
SELECT pg_advisory_unlock_all()
