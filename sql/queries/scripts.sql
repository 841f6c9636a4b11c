-- name: keep_script
-- Keep a script for good. A script that is kept already stays.
INSERT INTO catchment.script (name, version, content) VALUES (%(name)s, %(version)s, %(content)s) ON CONFLICT DO NOTHING

-- name: find_script
-- Return the content of a script's version.
SELECT content FROM catchment.script WHERE name = %(name)s AND version = %(version)s
