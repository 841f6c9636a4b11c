-- name: record_losses
-- Count a report of losses, once; return what was done.
SELECT catchment.record_losses(%(project_id)s, %(kind)s, %(report_id)s, %(received_at)s, %(counts)s::jsonb,
                                  %(known)s::text[], %(most_words)s, %(most_reports)s)

-- name: losses
-- Return what senders lost, of all projects or of one.
SELECT account.name AS account, project.name AS project, project.id::text AS project_id, loss.day, loss.reason, loss.events
FROM catchment.loss
JOIN catchment.project ON project.id = loss.project_id
JOIN catchment.account ON account.id = project.account_id
WHERE (%(project)s::uuid IS NULL OR loss.project_id = %(project)s::uuid)
ORDER BY account.name COLLATE "C", project.name COLLATE "C", loss.day DESC, loss.reason
