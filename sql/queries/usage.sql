-- name: usage
-- Return usage by account, project and period, of all or of some.
SELECT usage.account_id::text, usage.account, usage.project_id::text, usage.project,
       usage.period, usage.events, closed_period.period IS NOT NULL AS closed, usage.demo, usage.deleted
FROM catchment.usage
LEFT JOIN catchment.closed_period USING (period)
WHERE (%(account)s::uuid IS NULL OR usage.account_id = %(account)s::uuid)
  AND (%(project)s::uuid IS NULL OR usage.project_id = %(project)s::uuid)
  AND (%(period)s::date IS NULL OR usage.period = %(period)s::date)
ORDER BY usage.account, usage.project, usage.period

-- name: window_usage
-- Count the events of a scope in one window anew.
SELECT catchment.window_usage(%(scope)s, %(scope_id)s::uuid, %(window)s, %(starts)s, %(keys)s)

-- name: quota_usage
-- Return what is used of each quota in its present window: its row, or a new count if there is no row yet.
SELECT quota.id::text AS quota_id, coalesce(used.events, catchment.window_usage(
    quota.scope, quota.scope_id, quota."window", present.starts, coalesce(quota.keys, 'both'))) AS events
FROM catchment.quota
CROSS JOIN LATERAL (
    SELECT date_trunc(quota."window", %(at)s::timestamptz AT TIME ZONE 'UTC')::date AS starts
) AS present
LEFT JOIN catchment.quota_usage AS used
  ON used.scope = quota.scope AND used.scope_id = quota.scope_id AND used."window" = quota."window"
 AND used.starts = present.starts AND used.keys = coalesce(quota.keys, 'both')

-- name: close_period
-- Make a period final.
SELECT catchment.close_period(%(period)s)

-- name: audit
-- Return the projects and periods whose usage differs from the rows that were stored, in UTC months of the arrival; of
-- all projects or of one. Rows that were deleted on purpose are added.
WITH stored AS (
    SELECT project_id, period, sum(events)::bigint AS events
    FROM (
        SELECT project_id, date_trunc('month', received_at AT TIME ZONE 'UTC')::date AS period, count(*) AS events
        FROM catchment.event WHERE %(project)s::uuid IS NULL OR project_id = %(project)s::uuid GROUP BY 1, 2
        UNION ALL SELECT project_id, period, events FROM catchment.deleted_count
        WHERE %(project)s::uuid IS NULL OR project_id = %(project)s::uuid
    ) AS rows
    GROUP BY 1, 2
), counted AS (
    SELECT project_id, period, sum(events)::bigint AS events FROM catchment.usage_count
    WHERE %(project)s::uuid IS NULL OR project_id = %(project)s::uuid GROUP BY 1, 2
)
SELECT coalesce(account.name, '') AS account, coalesce(project.name, '') AS project, project_id::text, period,
       coalesce(counted.events, 0) AS usage, coalesce(stored.events, 0) AS stored
FROM stored FULL JOIN counted USING (project_id, period)
LEFT JOIN catchment.project ON project.id = project_id
LEFT JOIN catchment.account ON account.id = project.account_id
WHERE coalesce(stored.events, 0) <> coalesce(counted.events, 0)
ORDER BY period, project_id
