-- name: rename_account
-- Gives an account another name; its id stays.
UPDATE catchment.account SET name = %(name)s WHERE id = %(id)s AND deleted_at IS NULL RETURNING id

-- name: rename_project
-- Gives a project another name; its id stays.
UPDATE catchment.project SET name = %(name)s WHERE id = %(id)s AND deleted_at IS NULL RETURNING id

-- name: delete_project
-- Deletes a project, except for what it stored and its usage.
SELECT catchment.delete_project(%(id)s)

-- name: delete_stored
-- Deletes one bite of what a deleted project stored.
SELECT events, others FROM catchment.delete_stored(%(id)s, %(at_most)s)

-- name: stored_events
-- How many stored events a project has: those that were counted, without those that were deleted.
SELECT coalesce((SELECT sum(events) FROM catchment.usage_count WHERE project_id = %(id)s), 0)::bigint
     - coalesce((SELECT sum(events) FROM catchment.deleted_count WHERE project_id = %(id)s), 0)::bigint

-- name: delete_account
-- Deletes an account without projects; else how many it has.
SELECT catchment.delete_account(%(id)s)

-- name: forget_demo
-- Takes away the last of a demo's account that was deleted.
SELECT catchment.forget_demo(%(id)s)

-- name: delete_key
-- Deletes a key that was revoked, by its id or its fingerprint.
DELETE FROM catchment.key WHERE (id::text = %(id)s OR fingerprint = %(fingerprint)s) AND revoked_at IS NOT NULL
RETURNING id::text, project_id::text, kind, text, label, created_at, revoked_at, NULL::timestamptz

-- name: has_key
-- Whether there is such a key.
SELECT EXISTS (SELECT FROM catchment.key WHERE id::text = %(id)s OR fingerprint = %(fingerprint)s)

-- name: note_key_uses
-- Notes that keys were used just now, in one order for all servers; what another one noted a moment ago is enough.
INSERT INTO catchment.key_use AS known (key_id, used_at)
SELECT id, now() FROM catchment.key
WHERE fingerprint = ANY (%(fingerprints)s::bytea[]) AND revoked_at IS NULL
ORDER BY id
ON CONFLICT (key_id) DO UPDATE SET used_at = excluded.used_at
WHERE known.used_at < excluded.used_at - interval '20 seconds'
