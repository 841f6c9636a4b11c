-- name: log_events
-- Store and count a group of events; return an outcome for each, and the quotas that count them.
SELECT outcomes, uses FROM catchment.log_events(%(batch)s::jsonb)

-- name: find_access
-- Return what a key opens: its project with origins and settings.
SELECT key.kind, key.revoked_at IS NOT NULL AS revoked,
       project.id::text AS project_id, project.name AS project, account.id::text AS account_id, account.name AS account,
       project.bots, project.do_not_track, project.privacy, project.visitors, project.allow_null_origin,
       project.enabled,
       ARRAY(SELECT rule FROM catchment.origin WHERE origin.project_id = project.id ORDER BY rule) AS origins,
       CASE key.kind WHEN 'browser' THEN ARRAY(
           SELECT server.fingerprint FROM catchment.key AS server
           WHERE server.project_id = project.id AND server.kind = 'server' AND server.revoked_at IS NULL
           ORDER BY server.created_at DESC LIMIT 10) END AS vouchers
FROM catchment.key
JOIN catchment.project ON project.id = key.project_id
JOIN catchment.account ON account.id = project.account_id
WHERE key.fingerprint = %(fingerprint)s

-- name: known_keys
-- Return a page of the fingerprints of all keys, in rising order, after a given one.
SELECT fingerprint FROM catchment.key WHERE fingerprint > %(after)s ORDER BY fingerprint LIMIT %(at_most)s

-- name: known_keys_of
-- Return the fingerprints of the keys of some projects.
SELECT fingerprint FROM catchment.key WHERE project_id = ANY (%(projects)s::uuid[])

-- name: salt_of_day
-- Return the salt of a day for hashed addresses. The first server that asks makes it. For a day that is far from the
-- database's clock, return that of today.
WITH made AS (
    INSERT INTO catchment.salt (day, salt) VALUES (catchment.today(%(day)s), %(salt)s)
    ON CONFLICT DO NOTHING RETURNING salt
)
SELECT salt FROM made UNION ALL SELECT salt FROM catchment.salt WHERE day = catchment.today(%(day)s) LIMIT 1

-- name: quarantine
-- Note an event that the database could not hold: which fields it had, never what was in them.
INSERT INTO catchment.quarantine (project_id, key_kind, name, fields, received_at)
VALUES (%(project_id)s, %(key_kind)s, %(name)s, %(fields)s, %(received_at)s)

-- name: note_key_uses
-- Note that keys were used just now, in the same order on all servers. A use that another server noted a moment ago is
-- enough.
INSERT INTO catchment.key_use AS known (key_id, used_at)
SELECT id, now() FROM catchment.key
WHERE fingerprint = ANY (%(fingerprints)s::bytea[]) AND revoked_at IS NULL
ORDER BY id
ON CONFLICT (key_id) DO UPDATE SET used_at = excluded.used_at
WHERE known.used_at < excluded.used_at - interval '20 seconds'
