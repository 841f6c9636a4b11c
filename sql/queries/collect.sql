-- name: log_events
-- Stores and counts a group of events; an outcome for each.
SELECT catchment.log_events(%(batch)s::jsonb, %(limits)s::jsonb)

-- name: find_access
-- What a key opens: its project with origins, settings, and the quotas that count its events.
SELECT key.kind, key.revoked_at IS NOT NULL, project.id::text, project.name, account.id::text, account.name,
       project.bots, project.do_not_track, project.privacy, project.allow_null_origin, project.enabled,
       ARRAY(SELECT rule FROM catchment.origin WHERE origin.project_id = project.id ORDER BY rule),
       ARRAY(SELECT ARRAY[quota.id::text, quota.scope, quota.scope_id::text, quota."window", quota.keys, quota.hard::text]
             FROM catchment.quota
             WHERE (quota.scope, quota.scope_id) IN (('account', account.id), ('project', project.id))),
       CASE key.kind WHEN 'browser' THEN ARRAY(
           SELECT server.fingerprint FROM catchment.key AS server
           WHERE server.project_id = project.id AND server.kind = 'server' AND server.revoked_at IS NULL
           ORDER BY server.created_at DESC LIMIT 10) END AS vouchers
FROM catchment.key
JOIN catchment.project ON project.id = key.project_id
JOIN catchment.account ON account.id = project.account_id
WHERE key.fingerprint = %(fingerprint)s

-- name: known_keys
-- The fingerprints of all keys after this one, in rising order, a page of them.
SELECT fingerprint FROM catchment.key WHERE fingerprint > %(after)s ORDER BY fingerprint LIMIT %(at_most)s

-- name: known_keys_of
-- The fingerprints of the keys of some projects.
SELECT fingerprint FROM catchment.key WHERE project_id = ANY (%(projects)s::uuid[])

-- name: listen
-- From now on, what changes is announced to this session.
LISTEN catchment_changed

-- name: salt_of_day
-- The key of a day for hashed addresses, made by the first who asks; of a day that is far off, that of today.
WITH made AS (
    INSERT INTO catchment.salt (day, salt) VALUES (catchment.today(%(day)s), %(salt)s)
    ON CONFLICT DO NOTHING RETURNING salt
)
SELECT salt FROM made UNION ALL SELECT salt FROM catchment.salt WHERE day = catchment.today(%(day)s) LIMIT 1

-- name: forget_salts
-- A salt is deleted 48 hours after its day began. The database's clock decides, since a server's may be wrong.
DELETE FROM catchment.salt WHERE day <= catchment.today(%(today)s) - 2

-- name: quarantine
-- Notes an event that the database could not hold: what it was, never what was in it.
INSERT INTO catchment.quarantine (project_id, key_kind, name, fields, received_at)
VALUES (%(project_id)s, %(key_kind)s, %(name)s, %(fields)s, %(received_at)s)
