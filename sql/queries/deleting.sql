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
