-- name: add_account
-- Add an account.
INSERT INTO catchment.account (id, name, demo) VALUES (%(id)s, %(name)s, %(demo)s)

-- name: accounts
-- Return all accounts by name: the present ones, or the deleted ones.
SELECT id::text, name, plan, demo FROM catchment.account WHERE (deleted_at IS NOT NULL) = %(deleted)s ORDER BY name, id

-- name: rename_account
-- Give an account another name; its id stays.
UPDATE catchment.account SET name = %(name)s WHERE id = %(id)s AND deleted_at IS NULL RETURNING id

-- name: add_project
-- Add a project to an account that is not deleted.
INSERT INTO catchment.project (id, account_id, name, bots, do_not_track, privacy, visitors, allow_null_origin, enabled)
SELECT %(id)s, id, %(name)s, %(bots)s, %(do_not_track)s, %(privacy)s, %(visitors)s, %(allow_null_origin)s, %(enabled)s
FROM catchment.account WHERE id = %(account_id)s AND deleted_at IS NULL FOR SHARE
RETURNING id

-- name: projects
-- Return all projects with their origins, by account and name: the present ones, or the deleted ones.
SELECT project.id::text AS project_id, project.name AS project, account.id::text AS account_id, account.name AS account,
       project.bots, project.do_not_track, project.privacy, project.visitors, project.allow_null_origin,
       project.enabled,
       ARRAY(SELECT rule FROM catchment.origin WHERE origin.project_id = project.id ORDER BY rule) AS origins
FROM catchment.project JOIN catchment.account ON account.id = project.account_id
WHERE (project.deleted_at IS NOT NULL) = %(deleted)s
ORDER BY account.name, project.name, project.id

-- name: rename_project
-- Give a project another name; its id stays.
UPDATE catchment.project SET name = %(name)s WHERE id = %(id)s AND deleted_at IS NULL RETURNING id

-- name: change_project
-- Change settings of a project. A setting that is null stays as it is at that moment.
UPDATE catchment.project
SET bots = coalesce(%(bots)s, bots), do_not_track = coalesce(%(do_not_track)s, do_not_track),
    privacy = coalesce(%(privacy)s, privacy), visitors = coalesce(%(visitors)s, visitors),
    allow_null_origin = coalesce(%(allow_null_origin)s, allow_null_origin), enabled = coalesce(%(enabled)s, enabled)
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

-- name: id_of_key
-- Find a key by its id or its fingerprint.
SELECT id::text FROM catchment.key WHERE id::text = %(id)s OR fingerprint = %(fingerprint)s
