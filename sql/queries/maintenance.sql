-- name: maintenance_lock
-- Whether this session may do the maintenance now; let go at the end of the session.
SELECT pg_try_advisory_lock(hashtext('catchment maintenance'))

-- name: has_partition
-- Whether a day's month has its partition.
SELECT to_regclass('catchment.event_' || to_char(catchment.today(%(today)s), 'YYYY_MM')) IS NOT NULL

-- name: keep_partitions
-- Makes this month's partition and those ahead, one session at a time. The database's clock decides which month it is.
SELECT catchment.keep_partitions(catchment.today(%(today)s), %(months_ahead)s)
FROM (SELECT pg_advisory_xact_lock(hashtext('catchment partitions'))) AS alone

-- name: misplaced_months
-- The months whose events are in the default partition.
SELECT first_day FROM catchment.misplaced_months()

-- name: place_month
-- Moves a month's events out of the default partition; how many.
SELECT catchment.place_month(%(first_day)s)

-- name: forget_ids
-- Deletes a bite of the ids that are older than 32 days. The database's clock decides, since a server's may be wrong.
SELECT catchment.forget_ids(catchment.present(%(now)s) - interval '32 days', %(at_most)s)

-- name: forget_loss_reports
-- Deletes a bite of the ids of reports that are older than 32 days, as forget_ids does.
SELECT catchment.forget_loss_reports(catchment.present(%(now)s) - interval '32 days', %(at_most)s)

-- name: forget_salts
-- A salt is deleted 48 hours after its day began. The database's clock decides, since a server's may be wrong.
DELETE FROM catchment.salt WHERE day <= catchment.today(%(today)s) - 2
