-- A quota may count the events of one kind of key: what strangers send with a public key does not use up a back end's.
-- An arrival must be near the database's clock, and a closed month never changes. log_events_v1 goes: no server calls it.

DROP FUNCTION catchment.log_events_v1(jsonb, jsonb);
DROP FUNCTION catchment.sent(jsonb);
DROP FUNCTION catchment.quota_windows(jsonb, jsonb);
DROP FUNCTION catchment.over_quota(integer[], uuid[], timestamptz[], jsonb);
DROP FUNCTION catchment.count_quotas(integer[], uuid[], timestamptz[], integer[]);
DROP FUNCTION catchment.windows_of(integer[], uuid[], timestamptz[]);
DROP FUNCTION catchment.window_usage(text, uuid, text, date);

ALTER TABLE catchment.quota
    ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN keys text CHECK (keys IN ('browser', 'server')),
    DROP CONSTRAINT quota_pkey,
    ADD PRIMARY KEY (id),
    ADD CONSTRAINT quota_of_a_scope UNIQUE NULLS NOT DISTINCT (scope, scope_id, "window", keys);
ALTER TABLE catchment.quota ALTER COLUMN id DROP DEFAULT;
COMMENT ON COLUMN catchment.quota.keys IS 'the kind of key whose events are counted; null: of both kinds';

ALTER TABLE catchment.quota_usage
    ADD COLUMN keys text COLLATE "C" NOT NULL DEFAULT 'both' CHECK (keys IN ('both', 'browser', 'server')),
    DROP CONSTRAINT quota_usage_pkey,
    ADD PRIMARY KEY (scope, scope_id, "window", starts, keys);
ALTER TABLE catchment.quota_usage ALTER COLUMN keys DROP DEFAULT;

CREATE FUNCTION catchment.clock() RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- The time. All servers have one database, so that its clock decides where theirs differ.
BEGIN
    RETURN clock_timestamp();
END
$body$;

CREATE FUNCTION catchment.clock_tolerance() RETURNS interval
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $body$
-- A server's clock may differ from the database's by so much.
BEGIN
    RETURN interval '10 minutes';
END
$body$;

CREATE FUNCTION catchment.present(told timestamptz) RETURNS timestamptz
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- The moment that a server tells, if its clock is near the database's; else the database's.
SELECT CASE WHEN told BETWEEN present - catchment.clock_tolerance() AND present + catchment.clock_tolerance()
            THEN told ELSE present END
FROM catchment.clock() AS present
$body$;

CREATE FUNCTION catchment.today(told date) RETURNS date
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- The day (UTC) that a server tells, if its clock is near the database's; else the database's day.
SELECT CASE WHEN told BETWEEN ((present - catchment.clock_tolerance()) AT TIME ZONE 'UTC')::date
                          AND ((present + catchment.clock_tolerance()) AT TIME ZONE 'UTC')::date
            THEN told ELSE (present AT TIME ZONE 'UTC')::date END
FROM catchment.clock() AS present
$body$;

CREATE FUNCTION catchment.check_arrivals(earliest timestamptz, latest timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- Raises CA001 if arrivals are far from the database's clock: their ids would be forgotten too early or too late, and
-- they would be billed in another month.
DECLARE
    present    timestamptz := catchment.clock();
    tolerance  interval := catchment.clock_tolerance();
BEGIN
    IF earliest < present - tolerance OR latest > present + tolerance THEN
        RAISE EXCEPTION USING ERRCODE = 'CA001',
            MESSAGE = format('the server''s clock says %s, the database''s %s: they differ by more than %s',
                             CASE WHEN earliest < present - tolerance THEN earliest ELSE latest END, present, tolerance),
            HINT = 'Set the clock of the server or of the database''s host right (NTP).';
    END IF;
END
$body$;

-- In plpgsql, whose plans are kept: a function with a search_path of its own is not made part of the query that calls it.
CREATE OR REPLACE FUNCTION catchment.sent_v2(batch jsonb)
RETURNS TABLE (n integer, project_id uuid, key_kind text, event_id text, received_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
#variable_conflict use_column
-- What identifies the events of a batch, numbered from 1 in the order in which they were sent.
BEGIN
    RETURN QUERY
    SELECT row_number() OVER (ORDER BY request.n, event.n)::integer, request.project_id, request.key_kind,
           event.columns ->> 0, request.received_at
    FROM ROWS FROM (jsonb_to_recordset(batch) AS (
        project_id uuid, key_kind text, received_at timestamptz, events jsonb
    )) WITH ORDINALITY AS request (project_id, key_kind, received_at, events, n)
    CROSS JOIN LATERAL jsonb_array_elements(request.events) WITH ORDINALITY AS event (columns, n);
END
$body$;

CREATE FUNCTION catchment.quota_windows(batch jsonb, limits jsonb)
RETURNS TABLE (scope text, scope_id uuid, "window" text, starts date, keys text, events bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
#variable_conflict use_column
-- The windows of these limits at the arrivals of the batch, and what is used of each; null if no row counts it yet. Of
-- both kinds of key, whatever the batch has: a row is made while there is little to count.
BEGIN
    RETURN QUERY
    SELECT DISTINCT one.scope, one.scope_id, one."window", at.starts, coalesce(one.keys, 'both'), used.events
    FROM jsonb_to_recordset(batch) AS sent (project_id uuid, received_at timestamptz)
    JOIN jsonb_to_recordset(limits) AS one (project_id uuid, scope text, scope_id uuid, "window" text, keys text)
      USING (project_id)
    CROSS JOIN LATERAL (SELECT date_trunc(one."window", sent.received_at AT TIME ZONE 'UTC')::date) AS at (starts)
    LEFT JOIN catchment.quota_usage AS used
      ON used.scope = one.scope AND used.scope_id = one.scope_id AND used."window" = one."window"
     AND used.starts = at.starts AND used.keys = coalesce(one.keys, 'both');
END
$body$;

CREATE FUNCTION catchment.window_usage(
    the_scope text, the_scope_id uuid, the_window text, starts date, the_keys text DEFAULT 'both'
) RETURNS bigint
LANGUAGE sql STABLE SET enable_seqscan = off SET jit = off SET search_path = pg_catalog, pg_temp AS $body$
-- The events of a scope in one window, counted anew: by the index, of the scope's projects alone. Of one kind of key it
-- counts the ids that stored events have, which are known for longer than a month. (A plan whose costs are made up to be
-- high would be compiled first, which takes seconds.)
WITH projects AS (
    SELECT id FROM catchment.project
    WHERE CASE the_scope WHEN 'account' THEN account_id = the_scope_id ELSE id = the_scope_id END
), bounds AS (
    SELECT starts::timestamp AT TIME ZONE 'UTC' AS first,
           (starts + CASE the_window WHEN 'day' THEN interval '1 day' ELSE interval '1 month' END)
               AT TIME ZONE 'UTC' AS past
)
SELECT CASE
    WHEN the_keys <> 'both' THEN (
        SELECT count(*) FROM (
            SELECT DISTINCT project_id, event_id FROM catchment.event
            WHERE received_at >= (SELECT first FROM bounds) AND received_at < (SELECT past FROM bounds)
              AND project_id IN (SELECT id FROM projects)
        ) AS stored
        WHERE EXISTS (
            SELECT FROM catchment.event_id AS known
            WHERE known.project_id = stored.project_id AND known.key_kind = the_keys
              AND known.event_id = stored.event_id COLLATE "C"
              AND known.received_at >= (SELECT first FROM bounds) AND known.received_at < (SELECT past FROM bounds)))
    WHEN the_window = 'month' THEN (
        SELECT coalesce(sum(events), 0)::bigint FROM catchment.usage_count
        WHERE period = starts AND project_id IN (SELECT id FROM projects))
    ELSE (
        SELECT count(*) FROM catchment.event
        WHERE received_at >= (SELECT first FROM bounds) AND received_at < (SELECT past FROM bounds)
          AND project_id IN (SELECT id FROM projects))
END
$body$;

CREATE FUNCTION catchment.windows_of(numbers integer[], projects uuid[], kinds text[], arrivals timestamptz[])
RETURNS TABLE (scope text, scope_id uuid, "window" text, starts date, keys text, project_id uuid, of_events integer[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
#variable_conflict use_column
-- Every window that could count these events, and the numbers of those it counts: of the account and the project, the
-- month and the day, both kinds of key and their own. A window of an account stands once for each of its projects.
BEGIN
    RETURN QUERY
    WITH sent AS (
        SELECT one.project_id, one.key_kind, (one.received_at AT TIME ZONE 'UTC')::date AS day,
               array_agg(one.n ORDER BY one.n) AS numbers
        FROM unnest(numbers, projects, kinds, arrivals) AS one (n, project_id, key_kind, received_at)
        GROUP BY 1, 2, 3
    )
    SELECT scopes.scope, scopes.scope_id, windows."window", date_trunc(windows."window", sent.day::timestamp)::date,
           counted.keys, sent.project_id, sent.numbers
    FROM sent
    JOIN catchment.project ON project.id = sent.project_id
    CROSS JOIN LATERAL (VALUES ('account', project.account_id), ('project', project.id)) AS scopes (scope, scope_id)
    CROSS JOIN (VALUES ('month'), ('day')) AS windows ("window")
    CROSS JOIN LATERAL (VALUES ('both'), (sent.key_kind)) AS counted (keys);
END
$body$;

CREATE FUNCTION catchment.over_quota(
    numbers integer[], projects uuid[], kinds text[], arrivals timestamptz[], limits jsonb,
    OUT refused integer[], OUT limits_met text[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- Which of these events find no room in the limits, and the limit that each met, as `scope window keys` (of several that
-- are used up, the one that ends last). In order, the first that fit have the room. Locks the rows of all quotas that
-- count them, of those unknown to the caller too (what it knows may be seconds old), in one order: accounts, then
-- projects, then window and kind of key.
DECLARE
    room   bigint[] := '{}';
    one    record;
    fits   boolean;
    k      integer;
BEGIN
    refused := '{}';
    limits_met := '{}';
    PERFORM FROM catchment.quota_usage AS used
    WHERE (used.scope, used.scope_id, used."window", used.starts, used.keys) IN (
        SELECT w.scope, w.scope_id, w."window", w.starts, w.keys
        FROM catchment.windows_of(numbers, projects, kinds, arrivals) AS w)
    ORDER BY used.scope, used.scope_id, used."window", used.starts, used.keys
    FOR UPDATE;

    IF NOT EXISTS (
        SELECT FROM catchment.windows_of(numbers, projects, kinds, arrivals) AS w
        JOIN jsonb_to_recordset(limits) AS l (
            project_id uuid, scope text, scope_id uuid, "window" text, keys text, hard bigint)
          ON l.project_id = w.project_id AND l.scope = w.scope AND l.scope_id = w.scope_id
         AND l."window" = w."window" AND coalesce(l.keys, 'both') = w.keys
        JOIN catchment.quota_usage AS used
          ON used.scope = w.scope AND used.scope_id = w.scope_id AND used."window" = w."window"
         AND used.starts = w.starts AND used.keys = w.keys
        GROUP BY w.scope, w.scope_id, w."window", w.starts, w.keys
        HAVING sum(cardinality(w.of_events)) > min(l.hard - used.events))
    THEN
        RETURN;
    END IF;

    FOR one IN
        SELECT n, array_agg(number ORDER BY "window" DESC, number) AS needs,
               array_agg(left_over ORDER BY "window" DESC, number) AS left_over,
               array_agg(limit_met ORDER BY "window" DESC, number) AS limits_met
        FROM (
            SELECT n, w."window", l.hard - used.events AS left_over, concat_ws(' ', w.scope, w."window", w.keys) AS limit_met,
                   dense_rank() OVER (ORDER BY w.scope, w.scope_id, w."window", w.starts, w.keys)::integer AS number
            FROM catchment.windows_of(numbers, projects, kinds, arrivals) AS w
            JOIN jsonb_to_recordset(limits) AS l (
                project_id uuid, scope text, scope_id uuid, "window" text, keys text, hard bigint)
              ON l.project_id = w.project_id AND l.scope = w.scope AND l.scope_id = w.scope_id
             AND l."window" = w."window" AND coalesce(l.keys, 'both') = w.keys
            JOIN catchment.quota_usage AS used
              ON used.scope = w.scope AND used.scope_id = w.scope_id AND used."window" = w."window"
             AND used.starts = w.starts AND used.keys = w.keys
            CROSS JOIN LATERAL unnest(w.of_events) AS n
        ) AS needed
        GROUP BY n ORDER BY n
    LOOP
        fits := true;
        FOR i IN 1 .. cardinality(one.needs) LOOP
            k := one.needs[i];
            room[k] := coalesce(room[k], one.left_over[i]);
            IF room[k] <= 0 AND fits THEN
                fits := false;
                refused := refused || one.n;
                limits_met := limits_met || one.limits_met[i];
            END IF;
        END LOOP;
        IF fits THEN
            FOREACH k IN ARRAY one.needs LOOP
                room[k] := room[k] - 1;
            END LOOP;
        END IF;
    END LOOP;
END
$body$;

CREATE FUNCTION catchment.count_quotas(numbers integer[], projects uuid[], kinds text[], arrivals timestamptz[])
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- Adds events that were stored to every quota that counts them.
BEGIN
    UPDATE catchment.quota_usage AS used SET events = used.events + added.events
    FROM (
        SELECT w.scope, w.scope_id, w."window", w.starts, w.keys, sum(cardinality(w.of_events)) AS events
        FROM catchment.windows_of(numbers, projects, kinds, arrivals) AS w GROUP BY 1, 2, 3, 4, 5
    ) AS added
    WHERE used.scope = added.scope AND used.scope_id = added.scope_id AND used."window" = added."window"
      AND used.starts = added.starts AND used.keys = added.keys;
END
$body$;

CREATE OR REPLACE FUNCTION catchment.log_events_v2(batch jsonb, limits jsonb) RETURNS text[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- batch:   an array of objects: the columns of catchment.event that events have in common, key_kind, and `events`, an
--          array of arrays, the other columns of each: event_id, name, category, label, value, data, session_id, user_id,
--          url, page_title, page_path, referrer, referrer_host, is_bot, properties, occurred_at, and the campaign, null or
--          an object {source, medium, campaign, term, content}.
-- limits:  an array of objects {project_id, scope, scope_id, window, keys, hard}; keys: a kind of key, or null for both
-- returns: for every event, in order: stored, duplicate, or quota_exceeded and the limit that it met, such as
--          `quota_exceeded project month both`
-- raises:  CA001 if the server's clock is wrong, CA003 if the transaction can't count exactly; nothing is stored
--
-- Every statement has a snapshot of its own (READ COMMITTED): a count is read after its lock is held. Locks are taken
-- in one order by all: ids (sorted), quotas (accounts, then projects), usage (sorted).
DECLARE
    total       integer;
    earliest    timestamptz;
    latest      timestamptz;
    counted     boolean;
    closed      boolean;
    taken       record;
    fresh       integer[];
    projects    uuid[];
    kinds       text[];
    arrivals    timestamptz[];
    refused     integer[] := '{}';
    limits_met  text[] := '{}';
    kept        integer[];
    outcomes    text[];
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'CA003',
            MESSAGE = 'log_events was called in a transaction that is not READ COMMITTED: quotas would not be exact';
    END IF;

    SELECT coalesce(sum(jsonb_array_length(request -> 'events')), 0), min((request ->> 'received_at')::timestamptz),
           max((request ->> 'received_at')::timestamptz)
    INTO total, earliest, latest
    FROM jsonb_array_elements(batch) AS request;
    IF earliest < clock_timestamp() - interval '1 minute' OR latest > clock_timestamp() + interval '1 minute' THEN
        PERFORM catchment.check_arrivals(earliest, latest);  -- most are so near that nothing needs to be called
    END IF;

    -- Who sets a quota makes its row of that window. One of a later window is made here, by the first that meets it,
    -- from a sum over usage; while that happens nobody may add to usage unseen.
    IF limits <> '[]' AND EXISTS (SELECT FROM catchment.quota_windows(batch, limits) WHERE events IS NULL) THEN
        LOCK TABLE catchment.usage_count IN SHARE ROW EXCLUSIVE MODE;
        INSERT INTO catchment.quota_usage (scope, scope_id, "window", starts, keys, events)
        SELECT DISTINCT scope, scope_id, "window", starts, keys,
               catchment.window_usage(scope, scope_id, "window", starts, keys)
        FROM catchment.quota_windows(batch, limits) WHERE events IS NULL
        ON CONFLICT DO NOTHING;
    END IF;
    -- A caller with limits knows that they are counted; another looks, after the lock and once more at the end.
    counted := limits <> '[]' OR EXISTS (SELECT FROM catchment.quota_usage);
    IF counted THEN
        LOCK TABLE catchment.usage_count IN ROW EXCLUSIVE MODE;
    END IF;

    -- (a) The ids, sorted: unsorted ones in two sessions are a deadlock. What conflicts is a duplicate.
    WITH taken AS (
        INSERT INTO catchment.event_id (project_id, key_kind, event_id, received_at)
        SELECT DISTINCT ON (request.project_id, request.key_kind COLLATE "C", (event.columns ->> 0) COLLATE "C")
               request.project_id, request.key_kind, event.columns ->> 0, request.received_at
        FROM jsonb_to_recordset(batch) AS request (
            project_id uuid, key_kind text, received_at timestamptz, events jsonb)
        CROSS JOIN LATERAL jsonb_array_elements(request.events) AS event (columns)
        ORDER BY request.project_id, request.key_kind COLLATE "C", (event.columns ->> 0) COLLATE "C"
        ON CONFLICT DO NOTHING
        RETURNING project_id, key_kind, event_id
    )
    SELECT count(*) AS events, array_agg(project_id) AS projects, array_agg(key_kind) AS kinds, array_agg(event_id) AS ids
    INTO taken FROM taken;

    IF taken.events = 0 THEN
        IF current_setting('synchronous_standby_names') <> '' THEN
            -- What was found could be a commit that no standby has: its session waited for one, and was ended. This
            -- lets this transaction's own commit wait, though it changes nothing.
            PERFORM pg_logical_emit_message(true, 'catchment', '');
        END IF;
        RETURN array_fill('duplicate'::text, ARRAY[total]);
    END IF;
    IF taken.events = total THEN
        fresh := ARRAY(SELECT generate_series(1, total));
    ELSE
        fresh := ARRAY(
            SELECT min(sent.n) FROM catchment.sent_v2(batch) AS sent
            JOIN unnest(taken.projects, taken.kinds, taken.ids) AS one (project_id, key_kind, event_id)
              ON one.project_id = sent.project_id AND one.key_kind = sent.key_kind
             AND one.event_id = sent.event_id COLLATE "C"
            GROUP BY sent.project_id, sent.key_kind, sent.event_id COLLATE "C" ORDER BY 1);
    END IF;
    kept := fresh;

    -- (b, c) Only where a hard quota exists: its rows are locked, then read, and the first that fit are stored.
    IF counted THEN
        SELECT array_agg(project_id ORDER BY n), array_agg(key_kind ORDER BY n), array_agg(received_at ORDER BY n)
        INTO projects, kinds, arrivals
        FROM catchment.sent_v2(batch) WHERE n = ANY (fresh);
        SELECT * INTO refused, limits_met FROM catchment.over_quota(fresh, projects, kinds, arrivals, limits);
        IF refused <> '{}' THEN
            DELETE FROM catchment.event_id AS known
            USING catchment.sent_v2(batch) AS sent
            WHERE sent.n = ANY (refused) AND known.project_id = sent.project_id
              AND known.key_kind = sent.key_kind AND known.event_id = sent.event_id;
            kept := ARRAY(SELECT n FROM unnest(fresh) AS n WHERE n <> ALL (refused) ORDER BY n);
        END IF;
    END IF;

    -- (d) The events, and the usage from the rows really inserted.
    WITH stored AS (
        INSERT INTO catchment.event (
            project_id, event_id, name, category, label, value, data, session_id, user_id, url, page_title, page_path,
            referrer, referrer_host, user_agent, browser, browser_version, os, os_version, device, ip, country, region,
            city, utm_source, utm_medium, utm_campaign, utm_term, utm_content, is_bot, properties, occurred_at,
            received_at)
        SELECT
            project_id, sent ->> 0, sent ->> 1, sent ->> 2, sent ->> 3, (sent ->> 4)::double precision, sent -> 5,
            sent ->> 6, sent ->> 7, sent ->> 8, sent ->> 9, sent ->> 10, sent ->> 11, sent ->> 12, user_agent, browser,
            browser_version, os, os_version, device, ip, country, region, city, campaign ->> 'source',
            campaign ->> 'medium', campaign ->> 'campaign', campaign ->> 'term', campaign ->> 'content',
            (sent ->> 13)::boolean, sent -> 14, (sent ->> 15)::timestamptz, received_at
        FROM (
            SELECT row_number() OVER (ORDER BY request_n, event_n) AS n, request.*, event.sent, event.sent -> 16 AS campaign
            FROM ROWS FROM (jsonb_to_recordset(batch) AS (
                project_id uuid, user_agent text, browser text, browser_version text, os text, os_version text,
                device text, ip text, country text, region text, city text, received_at timestamptz, events jsonb
            )) WITH ORDINALITY AS request (
                project_id, user_agent, browser, browser_version, os, os_version, device, ip, country, region, city,
                received_at, events, request_n)
            CROSS JOIN LATERAL jsonb_array_elements(request.events) WITH ORDINALITY AS event (sent, event_n)
        ) AS event
        WHERE cardinality(kept) = total OR n = ANY (kept)
        RETURNING project_id, received_at
    )
    INSERT INTO catchment.usage_count AS known (project_id, period, slot, events)
    SELECT project_id, date_trunc('month', received_at AT TIME ZONE 'UTC')::date, pg_backend_pid() % 16, count(*)
    FROM stored GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (project_id, period, slot) DO UPDATE SET events = known.events + excluded.events;

    -- After the usage: who closes a month waits for those that have added to it, and whoever comes later sees it.
    SELECT counted OR EXISTS (SELECT FROM catchment.quota_usage), EXISTS (
        SELECT FROM catchment.closed_period
        WHERE period BETWEEN date_trunc('month', earliest AT TIME ZONE 'UTC')::date AND (latest AT TIME ZONE 'UTC')::date)
    INTO counted, closed;
    IF closed THEN
        RAISE EXCEPTION USING ERRCODE = 'CA001',
            MESSAGE = format('the server''s clock says %s, and that month is closed', earliest),
            HINT = 'A closed month never changes: set the clock of the server or of the database''s host right (NTP).';
    END IF;

    IF counted THEN
        -- Those that are kept: another's quota can have begun to count since, and all of them count for it.
        SELECT array_agg(project_id ORDER BY n), array_agg(key_kind ORDER BY n), array_agg(received_at ORDER BY n)
        INTO projects, kinds, arrivals
        FROM catchment.sent_v2(batch) WHERE n = ANY (kept);
        PERFORM catchment.count_quotas(kept, projects, kinds, arrivals);
    END IF;

    IF cardinality(kept) = total THEN
        RETURN array_fill('stored'::text, ARRAY[total]);
    END IF;
    -- What repeats an id that found no room found none either.
    SELECT array_agg(CASE WHEN sent.n = ANY (kept) THEN 'stored'
                          WHEN sent.first_n = ANY (refused)
                          THEN 'quota_exceeded ' || limits_met[array_position(refused, sent.first_n)]
                          ELSE 'duplicate' END ORDER BY sent.n)
    INTO outcomes
    FROM (
        SELECT n, min(n) OVER (PARTITION BY project_id, key_kind, event_id COLLATE "C") AS first_n
        FROM catchment.sent_v2(batch)
    ) AS sent;
    RETURN outcomes;
END
$body$;

CREATE OR REPLACE FUNCTION catchment.close_period(closing date) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
-- Folds the writers' counts of a period into one row each, and notes that it is final. Again: changes nothing. Raises
-- CA001 if the database's clock says that events of it may still come.
BEGIN
    IF (closing + interval '1 month' + interval '1 hour') AT TIME ZONE 'UTC'
        > catchment.clock() + catchment.clock_tolerance()
    THEN
        RAISE EXCEPTION USING ERRCODE = 'CA001',
            MESSAGE = format('the database''s clock says %s: the month of %s still runs', catchment.clock(), closing),
            HINT = 'Set the clock of the server or of the database''s host right (NTP).';
    END IF;
    -- Whoever adds to usage now ends first, and is folded; whoever comes later finds the month closed.
    LOCK TABLE catchment.usage_count IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO catchment.closed_period (period) VALUES (closing) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        WITH folded AS (
            DELETE FROM catchment.usage_count WHERE period = closing RETURNING project_id, events)
        INSERT INTO catchment.usage_count (project_id, period, slot, events)
        SELECT project_id, closing, -1, sum(events) FROM folded GROUP BY project_id;
    END IF;
END
$body$;

CREATE OR REPLACE FUNCTION catchment.forget_ids(older_than timestamptz, at_most integer) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
SET search_path = pg_catalog, pg_temp AS $body$
-- Deletes ids that are older, in one bite of at most so many; returns how many it deleted. None that the database's
-- clock finds younger than 32 days. It costs what the bite costs, however many ids there are: the oldest are found by
-- their index, and deleted by where they lie.
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

CREATE OR REPLACE FUNCTION catchment.forget_loss_reports(older_than timestamptz, at_most integer) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
SET search_path = pg_catalog, pg_temp AS $body$
-- Deletes ids of reports that are older, in one bite of at most so many, as catchment.forget_ids(); returns how many.
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

CREATE OR REPLACE FUNCTION catchment.record_losses_v1(
    the_project uuid, the_kind text, the_report text, arrival timestamptz, counts jsonb,
    known text[], most_words integer, most_reports integer
) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- counts:  an object, events by reason
-- known:   reasons that are never counted as another
-- returns: now, before (this id was counted already), or full (the day has as many reports as it may)
-- raises:  CA001 if the server's clock is wrong
DECLARE
    the_day date := (arrival AT TIME ZONE 'UTC')::date;
    lost    record;
BEGIN
    PERFORM catchment.check_arrivals(arrival, arrival);
    -- A day that is full takes no more writing.
    IF EXISTS (SELECT FROM catchment.loss_day
               WHERE project_id = the_project AND day = the_day AND reports >= most_reports)
        AND NOT EXISTS (SELECT FROM catchment.loss_report
                        WHERE project_id = the_project AND key_kind = the_kind AND report_id = the_report)
    THEN
        RETURN 'full';
    END IF;

    INSERT INTO catchment.loss_report (project_id, key_kind, report_id, received_at)
    VALUES (the_project, the_kind, the_report, arrival) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        PERFORM catchment.await_standby();
        RETURN 'before';
    END IF;

    -- Locks the day: whoever comes next reads the counts after this commit.
    INSERT INTO catchment.loss_day AS of_day (project_id, day, reports) VALUES (the_project, the_day, 1)
    ON CONFLICT (project_id, day) DO UPDATE SET reports = of_day.reports + 1 WHERE of_day.reports < most_reports;
    IF NOT FOUND THEN
        DELETE FROM catchment.loss_report
        WHERE project_id = the_project AND key_kind = the_kind AND report_id = the_report;
        RETURN 'full';
    END IF;

    FOR lost IN SELECT key AS reason, value::bigint AS events FROM jsonb_each_text(counts) ORDER BY key LOOP
        IF lost.reason <> ALL (known)
            AND NOT EXISTS (SELECT FROM catchment.loss
                            WHERE project_id = the_project AND day = the_day AND reason = lost.reason)
            AND (SELECT count(*) FROM catchment.loss
                 WHERE project_id = the_project AND day = the_day AND reason <> ALL (known)) >= most_words
        THEN
            lost.reason := 'other';
        END IF;
        INSERT INTO catchment.loss AS counted (project_id, day, reason, events)
        VALUES (the_project, the_day, lost.reason, lost.events)
        ON CONFLICT (project_id, day, reason) DO UPDATE SET events = counted.events + excluded.events;
    END LOOP;
    RETURN 'now';
END
$body$;
