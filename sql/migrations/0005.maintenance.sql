-- What the servers do once an hour: make partitions, and delete what is old.

CREATE FUNCTION catchment.keep_partitions(today date, months_ahead integer) RETURNS SETOF text
LANGUAGE plpgsql
SECURITY DEFINER SET lock_timeout = '500ms' SET search_path = pg_catalog, pg_temp SET "TimeZone" = 'UTC'
SET "DateStyle" = 'ISO, YMD' AS $body$
-- Makes the partitions of this month and the months ahead; returns the names of those it made. They belong to the owner
-- of catchment.event: a server needs no right to make them.
-- A month with rows in the default partition can't be attached (23514). It is left out, and catchment.misplaced_months()
-- returns it. To attach waits for all that read catchment.event, and all that come later wait behind it: so it gives up
-- soon (55P03), and the next hour tries again.
DECLARE
    first_day date;
    partition_name text;
BEGIN
    FOR first_day IN
        SELECT generate_series(date_trunc('month', today), today + make_interval(months => months_ahead), '1 month')
    LOOP
        partition_name := 'event_' || to_char(first_day, 'YYYY_MM');
        CONTINUE WHEN to_regclass('catchment.' || partition_name) IS NOT NULL;
        CONTINUE WHEN EXISTS (
            SELECT FROM catchment.event_default
            WHERE received_at >= first_day::timestamp AT TIME ZONE 'UTC'
              AND received_at < (first_day + interval '1 month') AT TIME ZONE 'UTC');
        EXECUTE format('CREATE TABLE catchment.%I (LIKE catchment.event INCLUDING ALL)', partition_name);
        EXECUTE format(
            'ALTER TABLE catchment.event ATTACH PARTITION catchment.%I FOR VALUES FROM (%L) TO (%L)', partition_name,
            first_day::timestamp AT TIME ZONE 'UTC', (first_day + interval '1 month') AT TIME ZONE 'UTC');
        RETURN NEXT partition_name;
    END LOOP;
END
$body$;

CREATE FUNCTION catchment.misplaced_months() RETURNS TABLE (first_day date)
LANGUAGE sql STABLE SET enable_seqscan = off SET jit = off SET search_path = pg_catalog, pg_temp AS $body$
-- Returns the months whose events are in the default partition, since theirs was missing when they arrived. It jumps
-- through the index from one project's month to the next, however many events they have.
WITH RECURSIVE found (project_id, received_at) AS (
    (SELECT project_id, received_at FROM catchment.event_default ORDER BY project_id, received_at LIMIT 1)
    UNION ALL
    SELECT following.project_id, following.received_at
    FROM found
    CROSS JOIN LATERAL (
        SELECT stored.project_id, stored.received_at FROM catchment.event_default AS stored
        WHERE (stored.project_id, stored.received_at) >= (
            found.project_id,
            (date_trunc('month', found.received_at AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC')
        ORDER BY stored.project_id, stored.received_at LIMIT 1
    ) AS following
)
SELECT DISTINCT date_trunc('month', received_at AT TIME ZONE 'UTC')::date FROM found ORDER BY 1
$body$;

CREATE FUNCTION catchment.place_month(first_day date) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER SET lock_timeout = '2s' SET search_path = pg_catalog, pg_temp SET "TimeZone" = 'UTC'
SET "DateStyle" = 'ISO, YMD' AS $body$
-- Moves a month's events from the default partition into a partition of their own; returns how many. Writers wait.
DECLARE
    partition_name text := 'event_' || to_char(first_day, 'YYYY_MM');
    begins timestamptz := first_day::timestamp AT TIME ZONE 'UTC';
    ends timestamptz := (first_day + interval '1 month') AT TIME ZONE 'UTC';
    moved bigint;
BEGIN
    LOCK TABLE catchment.event_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE catchment.%I (LIKE catchment.event INCLUDING ALL)', partition_name);
    EXECUTE format(
        'WITH moved AS (DELETE FROM catchment.event_default WHERE received_at >= $1 AND received_at < $2 RETURNING *) '
        'INSERT INTO catchment.%I SELECT * FROM moved', partition_name) USING begins, ends;
    GET DIAGNOSTICS moved = ROW_COUNT;
    EXECUTE format('ALTER TABLE catchment.event ATTACH PARTITION catchment.%I FOR VALUES FROM (%L) TO (%L)',
                   partition_name, begins, ends);
    RETURN moved;
END
$body$;

CREATE FUNCTION catchment.forget_ids(older_than timestamptz, at_most integer) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
SET search_path = pg_catalog, pg_temp AS $body$
-- Deletes ids that are older, at most so many; returns how many. Ids that are younger than 32 days by the database's
-- clock stay. The cost depends on the rows deleted, not on the size of the table: the oldest are found by their index,
-- and deleted by their place.
DECLARE
    part    regclass;
    bite    integer;
    deleted integer := 0;
BEGIN
    FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'catchment.event_id'::regclass ORDER BY inhrelid LOOP
        EXECUTE format(
            'DELETE FROM %s WHERE ctid = ANY (ARRAY('
            'SELECT ctid FROM %s WHERE received_at < $1 ORDER BY received_at LIMIT $2))', part, part)
        USING least(older_than, catchment.clock() - interval '32 days'), at_most - deleted;
        GET DIAGNOSTICS bite = ROW_COUNT;
        deleted := deleted + bite;
        EXIT WHEN deleted >= at_most;
    END LOOP;
    RETURN deleted;
END
$body$;

CREATE FUNCTION catchment.forget_loss_reports(older_than timestamptz, at_most integer) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
SET search_path = pg_catalog, pg_temp AS $body$
-- Deletes ids of reports that are older, at most so many, as catchment.forget_ids() does; returns how many.
DECLARE
    limit_of_age timestamptz := least(older_than, catchment.clock() - interval '32 days');
    deleted      integer;
BEGIN
    DELETE FROM catchment.loss_report WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM catchment.loss_report WHERE received_at < limit_of_age ORDER BY received_at LIMIT at_most));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$body$;

CREATE FUNCTION catchment.forget_quota_windows(ended_before date, at_most integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
-- Deletes what was used of windows that began a month before a day or earlier, at most so many rows; returns how many.
DECLARE
    deleted integer;
BEGIN
    DELETE FROM catchment.quota_usage WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM catchment.quota_usage WHERE starts + interval '1 month' <= ended_before LIMIT at_most));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$body$;

CREATE FUNCTION catchment.forget_quota_states(older_than timestamptz, at_most integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
-- Deletes states that quotas entered before a time, at most so many rows; returns how many.
DECLARE
    deleted integer;
BEGIN
    DELETE FROM catchment.quota_state WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM catchment.quota_state WHERE entered_at < older_than ORDER BY entered_at LIMIT at_most));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$body$;

CREATE FUNCTION catchment.forget_outcomes(older_than timestamptz, at_most integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
-- Deletes the counts of events that were not stored, and the refused origins, of hours before a time, at most so many
-- rows; returns how many.
DECLARE
    bite    integer;
    deleted integer;
BEGIN
    DELETE FROM catchment.unstored_count WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM catchment.unstored_count WHERE hour < older_than ORDER BY hour LIMIT at_most));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    DELETE FROM catchment.refused_origin WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM catchment.refused_origin WHERE refused_at < older_than LIMIT at_most - deleted));
    GET DIAGNOSTICS bite = ROW_COUNT;
    RETURN deleted + bite;
END
$body$;

CREATE FUNCTION catchment.forget_samples(older_than timestamptz, at_most integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
-- Deletes samples of the inbox that arrived before a time, at most so many; returns how many.
DECLARE
    deleted integer;
BEGIN
    DELETE FROM catchment.inbox_sample WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM catchment.inbox_sample WHERE received_at < older_than ORDER BY received_at LIMIT at_most));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$body$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA catchment FROM PUBLIC;
