-- name: add_account
-- Add an account.
INSERT INTO catchment.account (id, name, demo) VALUES (%(id)s, %(name)s, %(demo)s)

-- name: accounts
-- Return all accounts by name: the present ones, or the deleted ones.
SELECT id::text, name, demo FROM catchment.account WHERE (deleted_at IS NOT NULL) = %(deleted)s ORDER BY name, id

-- name: rename_account
-- Give an account another name; its id stays.
UPDATE catchment.account SET name = %(name)s WHERE id = %(id)s AND deleted_at IS NULL RETURNING id

-- name: add_project
-- Add a project to an account that is not deleted.
INSERT INTO catchment.project (id, account_id, name, bots, do_not_track, privacy, allow_null_origin, enabled)
SELECT %(id)s, id, %(name)s, %(bots)s, %(do_not_track)s, %(privacy)s, %(allow_null_origin)s, %(enabled)s
FROM catchment.account WHERE id = %(account_id)s AND deleted_at IS NULL FOR SHARE
RETURNING id

-- name: projects
-- Return all projects with their origins and quotas, by account and name: the present ones, or the deleted ones.
SELECT project.id::text AS project_id, project.name AS project, account.id::text AS account_id, account.name AS account,
       project.bots, project.do_not_track, project.privacy, project.allow_null_origin, project.enabled,
       ARRAY(SELECT rule FROM catchment.origin WHERE origin.project_id = project.id ORDER BY rule) AS origins,
       ARRAY(SELECT to_jsonb(quota) FROM catchment.quota
             WHERE (quota.scope, quota.scope_id) IN (('account', account.id), ('project', project.id))) AS quotas
FROM catchment.project JOIN catchment.account ON account.id = project.account_id
WHERE (project.deleted_at IS NOT NULL) = %(deleted)s
ORDER BY account.name, project.name, project.id

-- name: rename_project
-- Give a project another name; its id stays.
UPDATE catchment.project SET name = %(name)s WHERE id = %(id)s AND deleted_at IS NULL RETURNING id

-- name: set_project
-- Replace a project's settings.
UPDATE catchment.project
SET bots = %(bots)s, do_not_track = %(do_not_track)s, privacy = %(privacy)s,
    allow_null_origin = %(allow_null_origin)s, enabled = %(enabled)s
WHERE id = %(id)s AND deleted_at IS NULL
RETURNING id

-- name: add_origin
-- Allow an origin. An origin that is allowed already stays.
INSERT INTO catchment.origin (project_id, rule) VALUES (%(project_id)s, %(rule)s) ON CONFLICT DO NOTHING

-- name: remove_origin
-- Remove an origin.
DELETE FROM catchment.origin WHERE project_id = %(project_id)s AND rule = %(rule)s RETURNING rule

-- name: add_key
-- Add a key, by its fingerprint, to a project that is not deleted.
INSERT INTO catchment.key (id, project_id, kind, fingerprint, text, label)
SELECT %(id)s, id, %(kind)s, %(fingerprint)s, %(text)s, %(label)s
FROM catchment.project WHERE id = %(project_id)s AND deleted_at IS NULL FOR SHARE
RETURNING created_at

-- name: keys
-- Return the keys of a project, oldest first.
SELECT id::text, project_id::text, kind, text, label, created_at, revoked_at, key_use.used_at
FROM catchment.key LEFT JOIN catchment.key_use ON key_use.key_id = key.id
WHERE project_id = %(project_id)s ORDER BY created_at, id

-- name: revoke_key
-- Revoke a key by its id or its fingerprint. A revoked key stays revoked.
UPDATE catchment.key SET revoked_at = coalesce(revoked_at, now())
WHERE id::text = %(id)s OR fingerprint = %(fingerprint)s
RETURNING id::text, project_id::text, kind, text, label, created_at, revoked_at,
          (SELECT used_at FROM catchment.key_use WHERE key_use.key_id = key.id) AS used_at

-- name: delete_key
-- Delete a revoked key, by its id or its fingerprint.
DELETE FROM catchment.key WHERE (id::text = %(id)s OR fingerprint = %(fingerprint)s) AND revoked_at IS NOT NULL
RETURNING id::text, project_id::text, kind, text, label, created_at, revoked_at, NULL::timestamptz AS used_at

-- name: has_key
-- True if there is such a key.
SELECT EXISTS (SELECT FROM catchment.key WHERE id::text = %(id)s OR fingerprint = %(fingerprint)s)

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
