-- name: quota_lock
-- Take the lock of quotas, until the end of the session: one change is made at a time.
SELECT pg_advisory_lock(hashtext('catchment quota'))

-- name: quotas
-- Return the quotas that hold, of all or of one account or project.
SELECT id::text, scope, scope_id::text, "window", keys, events, soft, hard, grace, plan FROM catchment.quota
WHERE holds AND (%(scope_id)s::uuid IS NULL OR scope_id = %(scope_id)s::uuid)
ORDER BY scope, scope_id, "window", keys NULLS FIRST, events

-- name: begin_quotas
-- Let every commit count for the quotas that are new; return their ids.
SELECT catchment.begin_quotas(%(wanted)s::jsonb)::text[]

-- name: writers
-- Return the transactions that add to usage at this moment.
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND relation = 'catchment.usage_count'::regclass AND mode = 'RowExclusiveLock' AND granted

-- name: uncounted
-- Return what the windows of new quotas lack, in one snapshot: events that were stored before every commit added to them.
SELECT quota_id::text, starts::text, catchment.window_usage(quota_id, starts) - events AS events
FROM catchment.quota_usage WHERE quota_id = ANY (%(quotas)s::uuid[]) AND NOT catchment.begins_later(quota_id, starts)

-- name: set_quotas
-- Set quotas, and remove others; return those that were set.
SELECT id::text, scope, scope_id::text, "window", keys, events, soft, hard, grace, plan
FROM catchment.set_quotas(%(wanted)s::jsonb, %(uncounted)s::jsonb, %(removed)s::uuid[])

-- name: keep_account
-- Let nobody delete an account until the end of the transaction; return its id.
SELECT id FROM catchment.account WHERE id = %(id)s AND deleted_at IS NULL FOR SHARE

-- name: keep_project
-- Let nobody delete a project until the end of the transaction; return its id.
SELECT id FROM catchment.project WHERE id = %(id)s AND deleted_at IS NULL FOR SHARE

-- name: set_plan
-- Note the plan of an account.
UPDATE catchment.account SET plan = %(plan)s WHERE id = %(account)s AND deleted_at IS NULL RETURNING id

-- name: quota_uses
-- Return all quotas, and what is used of each in its window at a moment: its row, or a new count if there is no row yet.
SELECT quota.id::text, quota.scope, quota.scope_id::text, quota."window", quota.keys, quota.events, quota.soft, quota.hard,
       quota.grace, quota.plan, used.soft_crossed,
       coalesce(used.events, catchment.window_usage(quota.id, present.starts)) AS used
FROM catchment.quota
CROSS JOIN LATERAL (
    SELECT date_trunc(quota."window", %(at)s::timestamptz AT TIME ZONE 'UTC')::date AS starts
) AS present
LEFT JOIN catchment.quota_usage AS used ON used.quota_id = quota.id AND used.starts = present.starts
WHERE quota.holds
ORDER BY quota.scope, quota.scope_id, quota."window", quota.keys NULLS FIRST, quota.events

-- name: quota_rates
-- Return how many events each quota with a hard limit counted in the 7 days before a moment.
SELECT id::text AS quota_id, catchment.quota_count(id, %(at)s::timestamptz - interval '7 days', %(at)s) AS events
FROM catchment.quota WHERE holds AND hard IS NOT NULL

-- name: claim_states
-- Lend the next states of quotas to this server, to announce them.
SELECT lent.quota_id::text, lent.starts, lent.state, lent.used, lent.entered_at, lent.quota,
       account.id::text AS account_id, account.name AS account, project.id::text AS project_id, project.name AS project
FROM catchment.claim_states(%(at_most)s) AS lent
LEFT JOIN catchment.project
       ON lent.quota ->> 'scope' = 'project' AND project.id = (lent.quota ->> 'scope_id')::uuid
LEFT JOIN catchment.account ON account.id = coalesce(project.account_id, (lent.quota ->> 'scope_id')::uuid)
ORDER BY lent.n

-- name: announced_state
-- Note that a state was announced.
UPDATE catchment.quota_state SET announced_at = now()
WHERE quota_id = %(quota)s AND starts = %(starts)s AND state = %(state)s AND announced_at IS NULL
