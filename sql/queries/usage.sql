-- name: usage
-- Return usage by account, project and period, of all or of some.
WITH counted AS (
    SELECT project_id, date_trunc('month', hour AT TIME ZONE 'UTC')::date AS period, sum(events)::bigint AS events
    FROM catchment.usage_count
    WHERE (%(project)s::uuid IS NULL OR project_id = %(project)s::uuid)
      AND (%(period)s::date IS NULL OR hour >= %(period)s::date::timestamp AT TIME ZONE 'UTC'
           AND hour < (%(period)s::date + interval '1 month') AT TIME ZONE 'UTC')
    GROUP BY 1, 2
)
SELECT account.id::text AS account_id, account.name AS account, project.id::text AS project_id, project.name AS project,
       counted.period, counted.events, closed_period.period IS NOT NULL AS closed, account.demo,
       project.deleted_at IS NOT NULL AS deleted
FROM counted
JOIN catchment.project ON project.id = counted.project_id
JOIN catchment.account ON account.id = project.account_id
LEFT JOIN catchment.closed_period USING (period)
WHERE %(account)s::uuid IS NULL OR account.id = %(account)s::uuid
ORDER BY account.name, project.name, counted.period

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
    SELECT project_id, date_trunc('month', hour AT TIME ZONE 'UTC')::date AS period, sum(events)::bigint AS events
    FROM catchment.usage_count WHERE %(project)s::uuid IS NULL OR project_id = %(project)s::uuid GROUP BY 1, 2
)
SELECT coalesce(account.name, '') AS account, coalesce(project.name, '') AS project, project_id::text, period,
       coalesce(counted.events, 0) AS usage, coalesce(stored.events, 0) AS stored
FROM stored FULL JOIN counted USING (project_id, period)
LEFT JOIN catchment.project ON project.id = project_id
LEFT JOIN catchment.account ON account.id = project.account_id
WHERE coalesce(stored.events, 0) <> coalesce(counted.events, 0)
ORDER BY period, project_id
