-- name: has_partition
-- True if the month of a day has its partition.
SELECT to_regclass('catchment.event_' || to_char(catchment.today(%(today)s), 'YYYY_MM')) IS NOT NULL

-- name: keep_partitions
-- Make this month's partition and those ahead, one session at a time. The database's clock decides which month it is.
SELECT catchment.keep_partitions(catchment.today(%(today)s), %(months_ahead)s)
FROM (SELECT pg_advisory_xact_lock(hashtext('catchment partitions'))) AS alone

-- name: misplaced_months
-- Return the months whose events are in the default partition.
SELECT first_day FROM catchment.misplaced_months()

-- name: place_month
-- Move a month's events out of the default partition; return how many.
SELECT catchment.place_month(%(first_day)s)

-- name: forget_ids
-- Delete a part of the ids that are older than 32 days. The database's clock decides: a server's may be wrong.
SELECT catchment.forget_ids(catchment.present(%(now)s) - interval '32 days', %(at_most)s)

-- name: forget_loss_reports
-- Delete a part of the ids of reports that are older than 32 days, as forget_ids does.
SELECT catchment.forget_loss_reports(catchment.present(%(now)s) - interval '32 days', %(at_most)s)

-- name: forget_quota_windows
-- Delete a part of what was used of quotas' windows that began a month and 62 days ago or earlier.
SELECT catchment.forget_quota_windows(catchment.today(%(today)s) - 62, %(at_most)s)

-- name: forget_quota_states
-- Delete a part of the states of quotas that were entered 13 months ago or earlier.
SELECT catchment.forget_quota_states(catchment.present(%(now)s) - interval '13 months', %(at_most)s)

-- name: forget_outcomes
-- Delete a part of the counts of unstored events, and of the refused origins, that are 13 months old.
SELECT catchment.forget_outcomes(catchment.present(%(now)s) - interval '13 months', %(at_most)s)

-- name: forget_samples
-- Delete a part of the inbox's samples that are 7 days old.
SELECT catchment.forget_samples(catchment.present(%(now)s) - interval '7 days', %(at_most)s)

-- name: fold_usage
-- Add a part of the writers' counts of past hours up, to one row for each project and hour.
SELECT catchment.fold_usage(catchment.present(%(now)s), %(at_most)s)

-- name: forget_salts
-- Delete the salts whose day began 48 hours ago or earlier. The database's clock decides: a server's may be wrong.
DELETE FROM catchment.salt WHERE day <= catchment.today(%(today)s) - 2
