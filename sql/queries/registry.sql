-- name: add_account
-- A new account.
INSERT INTO catchment.account (id, name, demo) VALUES (%(id)s, %(name)s, %(demo)s)

-- name: accounts
-- All accounts, by name: those there are, or those that were deleted.
SELECT id::text, name, demo FROM catchment.account WHERE (deleted_at IS NOT NULL) = %(deleted)s ORDER BY name, id

-- name: rename_account
-- Gives an account another name; its id stays.
UPDATE catchment.account SET name = %(name)s WHERE id = %(id)s AND deleted_at IS NULL RETURNING id

-- name: add_project
-- A new project of an account that is not deleted.
INSERT INTO catchment.project (id, account_id, name, bots, do_not_track, privacy, allow_null_origin, enabled)
SELECT %(id)s, id, %(name)s, %(bots)s, %(do_not_track)s, %(privacy)s, %(allow_null_origin)s, %(enabled)s
FROM catchment.account WHERE id = %(account_id)s AND deleted_at IS NULL FOR SHARE
RETURNING id

-- name: projects
-- All projects with their origins, by account and name: those there are, or those that were deleted.
SELECT project.id::text AS project_id, project.name AS project, account.id::text AS account_id, account.name AS account,
       project.bots, project.do_not_track, project.privacy, project.allow_null_origin, project.enabled,
       ARRAY(SELECT rule FROM catchment.origin WHERE origin.project_id = project.id ORDER BY rule) AS origins,
       ARRAY(SELECT to_jsonb(quota) FROM catchment.quota
             WHERE (quota.scope, quota.scope_id) IN (('account', account.id), ('project', project.id))) AS quotas
FROM catchment.project JOIN catchment.account ON account.id = project.account_id
WHERE (project.deleted_at IS NOT NULL) = %(deleted)s
ORDER BY account.name, project.name, project.id

-- name: rename_project
-- Gives a project another name; its id stays.
UPDATE catchment.project SET name = %(name)s WHERE id = %(id)s AND deleted_at IS NULL RETURNING id

-- name: set_project
-- Replaces a project's settings.
UPDATE catchment.project
SET bots = %(bots)s, do_not_track = %(do_not_track)s, privacy = %(privacy)s,
    allow_null_origin = %(allow_null_origin)s, enabled = %(enabled)s
WHERE id = %(id)s AND deleted_at IS NULL
RETURNING id

-- name: add_origin
-- Allows an origin; one that is allowed already stays.
INSERT INTO catchment.origin (project_id, rule) VALUES (%(project_id)s, %(rule)s) ON CONFLICT DO NOTHING

-- name: remove_origin
-- Takes an origin away.
DELETE FROM catchment.origin WHERE project_id = %(project_id)s AND rule = %(rule)s RETURNING rule

-- name: add_key
-- A new key of a project that is not deleted, by its fingerprint.
INSERT INTO catchment.key (id, project_id, kind, fingerprint, text, label)
SELECT %(id)s, id, %(kind)s, %(fingerprint)s, %(text)s, %(label)s
FROM catchment.project WHERE id = %(project_id)s AND deleted_at IS NULL FOR SHARE
RETURNING created_at

-- name: keys
-- The keys of a project, oldest first.
SELECT id::text, project_id::text, kind, text, label, created_at, revoked_at, key_use.used_at
FROM catchment.key LEFT JOIN catchment.key_use ON key_use.key_id = key.id
WHERE project_id = %(project_id)s ORDER BY created_at, id

-- name: revoke_key
-- Revokes a key by its id or its fingerprint; a revoked one stays revoked.
UPDATE catchment.key SET revoked_at = coalesce(revoked_at, now())
WHERE id::text = %(id)s OR fingerprint = %(fingerprint)s
RETURNING id::text, project_id::text, kind, text, label, created_at, revoked_at,
          (SELECT used_at FROM catchment.key_use WHERE key_use.key_id = key.id) AS used_at

-- name: delete_key
-- Deletes a key that was revoked, by its id or its fingerprint.
DELETE FROM catchment.key WHERE (id::text = %(id)s OR fingerprint = %(fingerprint)s) AND revoked_at IS NOT NULL
RETURNING id::text, project_id::text, kind, text, label, created_at, revoked_at, NULL::timestamptz AS used_at

-- name: has_key
-- Whether there is such a key.
SELECT EXISTS (SELECT FROM catchment.key WHERE id::text = %(id)s OR fingerprint = %(fingerprint)s)

-- name: set_quota
-- The quota of a scope, window and kind of key, in place of one that is there, whose id it keeps.
INSERT INTO catchment.quota (id, scope, scope_id, "window", keys, hard)
VALUES (%(id)s, %(scope)s, %(scope_id)s, %(window)s, %(keys)s, %(hard)s)
ON CONFLICT (scope, scope_id, "window", keys) DO UPDATE SET hard = excluded.hard
RETURNING id::text

-- name: remove_quota
-- Takes a quota away; what it was.
DELETE FROM catchment.quota WHERE id::text = %(id)s
RETURNING id::text, scope, scope_id::text, "window", keys, hard

-- name: quota_lock
-- One setting of a quota at a time; let go at the end of the session.
SELECT pg_advisory_lock(hashtext('catchment quota'))

-- name: has_quota
-- Whether there is such a quota, be it another number: its rows are kept by every commit then.
SELECT EXISTS (
    SELECT FROM catchment.quota
    WHERE scope = %(scope)s AND scope_id = %(scope_id)s AND "window" = %(window)s AND keys IS NOT DISTINCT FROM %(keys)s)

-- name: begin_counting
-- The row of a quota's present window, to which every commit adds from now on; its first day.
WITH present AS (
    SELECT date_trunc(%(window)s, catchment.clock() AT TIME ZONE 'UTC')::date AS starts
), made AS (
    INSERT INTO catchment.quota_usage (scope, scope_id, "window", starts, keys, events)
    SELECT %(scope)s, %(scope_id)s::uuid, %(window)s, starts, coalesce(%(keys)s, 'both'), 0 FROM present
    ON CONFLICT DO NOTHING
)
SELECT starts FROM present

-- name: writers
-- The transactions that add to usage at this moment.
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND relation = 'catchment.usage_count'::regclass AND mode = 'RowExclusiveLock' AND granted

-- name: uncounted
-- What a window's row lacks, in one snapshot: events that were stored before every commit added to it.
SELECT catchment.window_usage(scope, scope_id, "window", starts, keys) - events
FROM catchment.quota_usage
WHERE scope = %(scope)s AND scope_id = %(scope_id)s AND "window" = %(window)s AND starts = %(starts)s
  AND keys = coalesce(%(keys)s, 'both')

-- name: count_uncounted
-- Adds that.
UPDATE catchment.quota_usage SET events = events + %(events)s
WHERE scope = %(scope)s AND scope_id = %(scope_id)s AND "window" = %(window)s AND starts = %(starts)s
  AND keys = coalesce(%(keys)s, 'both')

-- name: quotas
-- All quotas.
SELECT id::text, scope, scope_id::text, "window", keys, hard FROM catchment.quota
ORDER BY scope, scope_id, "window", keys NULLS FIRST
