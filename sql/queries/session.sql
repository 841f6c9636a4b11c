-- name: begin_session
-- Set how every session of the server behaves. First the search_path: what follows calls functions, and nothing that
-- other roles have made may be found. A commit that is answered is on disk. Every statement has its own snapshot; exact
-- quotas rely on it. Rows that a policy hides are an error, not left out. No event's text gets into the database's log.
-- The settings in the loop are tried one by one, since the role may not be allowed to set them. Statements are not
-- tracked, because the postmaster logs the statement of a session that was killed.
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
-- Return the mark that a session carries (from now on it carries ours), the database's time, and whether a committed
-- row is safe here (fsync, full page writes, the server's version).
SELECT current_setting('catchment.session', true) AS mark, set_config('catchment.session', %(mark)s, false),
       clock_timestamp() AS clock, current_setting('fsync') = 'on' AS fsync,
       current_setting('full_page_writes') = 'on' AS full_page_writes, current_setting('server_version') AS version

-- name: identify
-- Return the identity of the primary: its cluster, its timeline (eight hexadecimal digits; null on a standby), and its
-- start.
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system,
       CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline,
       pg_postmaster_start_time() AS started

-- name: heartbeat
-- Ask whether the other side is there.
SELECT 1

-- name: listen
-- Announce changes to this session from now on.
LISTEN catchment_changed

-- name: listens
-- True if changes are still announced to this session.
SELECT 'catchment_changed' = ANY (ARRAY(SELECT pg_listening_channels()))

-- name: take_your_time
-- Let statements of this transaction take any time. A statement that nobody waits for any more ends.
SELECT set_config('statement_timeout', '0', true), set_config('client_connection_check_interval', '10s', true)

-- name: try_lock
-- Take the lock of this name, until the end of the session; false if another session has it.
SELECT pg_try_advisory_lock(hashtext(%(name)s))

-- name: let_go
-- Release all locks of this session.
SELECT pg_advisory_unlock_all()

-- name: lock_holder
-- Return the role and the process that have the lock of this name, and whether that is another role. Any role that may
-- connect to this database can take it.
SELECT usename, pid, usename <> session_user
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pg_locks.database = pg_stat_activity.datid
  AND datname = current_database() AND (classid::bigint << 32) | objid::bigint = hashtext(%(name)s)
LIMIT 1
