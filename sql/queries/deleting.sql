-- name: delete_project
-- Delete a project, except for what it stored and its usage.
SELECT catchment.delete_project(%(id)s)

-- name: delete_stored
-- Delete a part of what a deleted project stored.
SELECT events, others FROM catchment.delete_stored(%(id)s, %(at_most)s)

-- name: stored_events
-- Return how many stored events a project has: the counted ones without the deleted ones.
SELECT coalesce((SELECT sum(events) FROM catchment.usage_count WHERE project_id = %(id)s), 0)::bigint
     - coalesce((SELECT sum(events) FROM catchment.deleted_count WHERE project_id = %(id)s), 0)::bigint

-- name: delete_account
-- Delete an account without projects; if it has projects, return how many.
SELECT catchment.delete_account(%(id)s)

-- name: forget_demo
-- Delete what is left of a deleted account of the demo.
SELECT catchment.forget_demo(%(id)s)
