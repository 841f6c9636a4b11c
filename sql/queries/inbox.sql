-- name: add_samples
-- Add samples to the inbox, and delete those that are too many for their project and reason.
SELECT catchment.add_samples(%(samples)s::json, %(kept)s)

-- name: samples
-- Return the samples of a project, newest first; of one reason, or of all.
SELECT sample.id, sample.project_id::text, sample.outcome, sample.reason, sample.hint, sample.payload, sample.taken,
       sample.replay, sample.obstacle, sample.event_id, sample.key_kind, sample.key_fingerprint, sample.origin,
       sample.headers, sample.do_not_track, sample.clock_offset, sample.sender, sample.received_at, sample.replayed_at
FROM catchment.inbox_sample AS sample
JOIN catchment.project ON project.id = sample.project_id AND project.deleted_at IS NULL
WHERE sample.project_id = %(project)s::uuid AND (%(reason)s::text IS NULL OR sample.reason = %(reason)s::text)
  AND sample.received_at > %(since)s
ORDER BY sample.received_at DESC, sample.id DESC

-- name: find_sample
-- Return the sample with an id.
SELECT sample.id, sample.project_id::text, sample.outcome, sample.reason, sample.hint, sample.payload, sample.taken,
       sample.replay, sample.obstacle, sample.event_id, sample.key_kind, sample.key_fingerprint, sample.origin,
       sample.headers, sample.do_not_track, sample.clock_offset, sample.sender, sample.received_at, sample.replayed_at
FROM catchment.inbox_sample AS sample
JOIN catchment.project ON project.id = sample.project_id AND project.deleted_at IS NULL
WHERE sample.id = %(id)s AND sample.received_at > %(since)s

-- name: mark_replayed
-- Note that the event of a sample was sent again and is stored.
UPDATE catchment.inbox_sample SET replayed_at = %(at)s WHERE id = %(id)s
