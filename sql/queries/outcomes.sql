-- name: add_outcomes
-- Add the outcomes of the last seconds to their hours, and keep the last origins that were refused.
SELECT catchment.add_outcomes(%(counts)s::jsonb, %(origins)s::jsonb)

-- name: outcomes
-- Return the outcomes of all projects or of one, within a time.
SELECT account.name AS account, project.name AS project, project.id::text AS project_id, counted.hour, counted.outcome,
       counted.reason, counted.events
FROM (
    SELECT project_id, hour, 'stored' AS outcome, NULL AS reason, sum(events)::bigint AS events
    FROM catchment.usage_count
    WHERE (%(project)s::uuid IS NULL OR project_id = %(project)s::uuid) AND hour >= %(since)s AND hour < %(until)s
    GROUP BY project_id, hour
    UNION ALL
    SELECT project_id, hour, outcome, nullif(reason, ''), events FROM catchment.unstored_count
    WHERE (%(project)s::uuid IS NULL OR project_id = %(project)s::uuid) AND hour >= %(since)s AND hour < %(until)s
) AS counted
JOIN catchment.project ON project.id = counted.project_id
JOIN catchment.account ON account.id = project.account_id
ORDER BY account.name COLLATE "C", project.name COLLATE "C", project.id, counted.hour, counted.outcome COLLATE "C",
         counted.reason COLLATE "C" NULLS FIRST

-- name: refused_origins
-- Return the last refused origin of all projects or of one.
SELECT project_id::text, origin, refused_at FROM catchment.refused_origin
WHERE %(project)s::uuid IS NULL OR project_id = %(project)s::uuid ORDER BY project_id
