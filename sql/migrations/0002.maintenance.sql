-- What an installation does for itself: partitions ahead, old ids away.

CREATE FUNCTION catchment.keep_partitions(today date, months_ahead integer) RETURNS SETOF text
LANGUAGE plpgsql SET lock_timeout = '500ms' AS $body$
-- Makes the partitions of this month and the months ahead; returns the names of those it made. A month whose rows
-- are in the default partition already can't be attached (23514): it is left out, and named by
-- catchment.misplaced_months(). Attaching waits for whoever reads catchment.event, and all who come later wait behind
-- it: it gives up soon (55P03), and the next hour tries again.
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
LANGUAGE sql STABLE SET enable_seqscan = off AS $body$
-- The months whose events are in the default partition, since theirs was missing when they came. It leaps through the
-- index from one project's month to the next, however many events they have.
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
LANGUAGE plpgsql SET lock_timeout = '2s' AS $body$
-- Moves a month's events from the default partition into one of their own; returns how many. Writers wait meanwhile.
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
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $body$
-- Deletes ids that are older, in one bite of at most so many; returns how many it deleted. It costs what the bite
-- costs, however many ids there are: the oldest are found by their index, and deleted by where they lie.
DECLARE
    part    regclass;
    bite    integer;
    deleted integer := 0;
BEGIN
    FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'catchment.event_id'::regclass ORDER BY inhrelid LOOP
        EXECUTE format(
            'DELETE FROM %s WHERE ctid = ANY (ARRAY('
            'SELECT ctid FROM %s WHERE received_at < $1 ORDER BY received_at LIMIT $2))', part, part)
        USING older_than, at_most - deleted;
        GET DIAGNOSTICS bite = ROW_COUNT;
        deleted := deleted + bite;
        EXIT WHEN deleted >= at_most;
    END LOOP;
    RETURN deleted;
END
$body$;

CREATE FUNCTION catchment.close_period(closing date) RETURNS void
LANGUAGE plpgsql AS $body$
-- Folds the writers' counts of a period into one row each, and notes that it is final. Again: changes nothing.
BEGIN
    INSERT INTO catchment.closed_period (period) VALUES (closing) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        WITH folded AS (
            DELETE FROM catchment.usage_count WHERE period = closing RETURNING project_id, events)
        INSERT INTO catchment.usage_count (project_id, period, slot, events)
        SELECT project_id, closing, -1, sum(events) FROM folded GROUP BY project_id;
    END IF;
END
$body$;

CREATE FUNCTION catchment.window_usage(the_scope text, the_scope_id uuid, the_window text, starts date) RETURNS bigint
LANGUAGE sql STABLE SET enable_seqscan = off AS $body$
-- The events of a scope in one window, counted anew: of a day by the index, whatever a month has.
SELECT CASE the_window
    WHEN 'month' THEN (
        SELECT coalesce(sum(events), 0)::bigint FROM catchment.usage_count
        WHERE period = starts AND project_id IN (
            SELECT id FROM catchment.project
            WHERE CASE the_scope WHEN 'account' THEN account_id = the_scope_id ELSE id = the_scope_id END))
    WHEN 'day' THEN (
        SELECT count(*) FROM catchment.event
        WHERE received_at >= starts::timestamp AT TIME ZONE 'UTC'
          AND received_at < (starts + 1)::timestamp AT TIME ZONE 'UTC'
          AND project_id IN (
            SELECT id FROM catchment.project
            WHERE CASE the_scope WHEN 'account' THEN account_id = the_scope_id ELSE id = the_scope_id END))
END
$body$;

-- Servers keep what a key opens for up to a minute; what changes is announced, and dropped there at once.
CREATE FUNCTION catchment.announce() RETURNS trigger
LANGUAGE plpgsql AS $body$
DECLARE
    changed jsonb := to_jsonb(coalesce(NEW, OLD));
BEGIN
    PERFORM pg_notify('catchment_changed', CASE TG_TABLE_NAME
        WHEN 'project' THEN 'project ' || (changed ->> 'id')
        WHEN 'quota' THEN (changed ->> 'scope') || ' ' || (changed ->> 'scope_id')
        ELSE 'project ' || (changed ->> 'project_id') END);
    RETURN NULL;
END
$body$;

CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON catchment.project
FOR EACH ROW EXECUTE FUNCTION catchment.announce();
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON catchment.origin
FOR EACH ROW EXECUTE FUNCTION catchment.announce();
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON catchment.key
FOR EACH ROW EXECUTE FUNCTION catchment.announce();
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON catchment.quota
FOR EACH ROW EXECUTE FUNCTION catchment.announce();
