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
