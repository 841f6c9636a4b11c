-- name: set_quota
-- Set the quota of a scope, window and kind of key. If there is one, it keeps its id.
INSERT INTO catchment.quota (id, scope, scope_id, "window", keys, hard)
VALUES (%(id)s, %(scope)s, %(scope_id)s, %(window)s, %(keys)s, %(hard)s)
ON CONFLICT (scope, scope_id, "window", keys) DO UPDATE SET hard = excluded.hard
RETURNING id::text

-- name: remove_quota
-- Remove a quota; return what it was.
DELETE FROM catchment.quota WHERE id::text = %(id)s
RETURNING id::text, scope, scope_id::text, "window", keys, hard

-- name: quota_lock
-- Take the lock of quotas, until the end of the session: one is set at a time.
SELECT pg_advisory_lock(hashtext('catchment quota'))

-- name: has_quota
-- True if there is a quota of this scope, window and kind of key, whatever its number. Then every commit adds to its
-- row already.
SELECT EXISTS (
    SELECT FROM catchment.quota
    WHERE scope = %(scope)s AND scope_id = %(scope_id)s AND "window" = %(window)s AND keys IS NOT DISTINCT FROM %(keys)s)

-- name: begin_counting
-- Make the row of a quota's present window, to which every commit adds from now on; return the window's first day.
WITH present AS (
    SELECT date_trunc(%(window)s, catchment.clock() AT TIME ZONE 'UTC')::date AS starts
), made AS (
    INSERT INTO catchment.quota_usage (scope, scope_id, "window", starts, keys, events)
    SELECT %(scope)s, %(scope_id)s::uuid, %(window)s, starts, coalesce(%(keys)s, 'both'), 0 FROM present
    ON CONFLICT DO NOTHING
)
SELECT starts FROM present

-- name: writers
-- Return the transactions that add to usage at this moment.
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND relation = 'catchment.usage_count'::regclass AND mode = 'RowExclusiveLock' AND granted

-- name: uncounted
-- Return what a window's row lacks, in one snapshot: events that were stored before every commit added to it.
SELECT catchment.window_usage(scope, scope_id, "window", starts, keys) - events
FROM catchment.quota_usage
WHERE scope = %(scope)s AND scope_id = %(scope_id)s AND "window" = %(window)s AND starts = %(starts)s
  AND keys = coalesce(%(keys)s, 'both')

-- name: count_uncounted
-- Add the events that a window's row lacks.
UPDATE catchment.quota_usage SET events = events + %(events)s
WHERE scope = %(scope)s AND scope_id = %(scope_id)s AND "window" = %(window)s AND starts = %(starts)s
  AND keys = coalesce(%(keys)s, 'both')

-- name: quotas
-- Return all quotas.
SELECT id::text, scope, scope_id::text, "window", keys, hard FROM catchment.quota
ORDER BY scope, scope_id, "window", keys NULLS FIRST

-- name: quota_usage
-- Return what is used of each quota in its present window: its row, or a new count if there is no row yet.
SELECT quota.id::text AS quota_id, coalesce(used.events, catchment.window_usage(
    quota.scope, quota.scope_id, quota."window", present.starts, coalesce(quota.keys, 'both'))) AS events
FROM catchment.quota
CROSS JOIN LATERAL (
    SELECT date_trunc(quota."window", %(at)s::timestamptz AT TIME ZONE 'UTC')::date AS starts
) AS present
LEFT JOIN catchment.quota_usage AS used
  ON used.scope = quota.scope AND used.scope_id = quota.scope_id AND used."window" = quota."window"
 AND used.starts = present.starts AND used.keys = coalesce(quota.keys, 'both')
