-- Storing events and counting reports of losses: one call, one transaction.

CREATE FUNCTION catchment.await_standby() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- Lets the commit of this transaction wait for the standby, though the transaction changes nothing. What it found may be
-- a commit that no standby has: its session waited for one, and was ended.
BEGIN
    IF current_setting('synchronous_standby_names') <> '' THEN
        PERFORM pg_logical_emit_message(true, 'catchment', '');
    END IF;
END
$body$;

-- In plpgsql, whose plans are kept: a function with a search_path of its own is not made part of the query that calls it.
CREATE FUNCTION catchment.sent(batch jsonb)
RETURNS TABLE (n integer, project_id uuid, key_kind text, event_id text, name text, received_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
#variable_conflict use_column
-- Returns what identifies the events of a batch, and their names, numbered from 1 in the order in which they were sent.
BEGIN
    RETURN QUERY
    SELECT row_number() OVER (ORDER BY request.n, event.n)::integer, request.project_id, request.key_kind,
           event.columns ->> 0, event.columns ->> 1, request.received_at
    FROM ROWS FROM (jsonb_to_recordset(batch) AS (
        project_id uuid, key_kind text, received_at timestamptz, events jsonb
    )) WITH ORDINALITY AS request (project_id, key_kind, received_at, events, n)
    CROSS JOIN LATERAL jsonb_array_elements(request.events) WITH ORDINALITY AS event (columns, n);
END
$body$;

CREATE FUNCTION catchment.store_rows(batch jsonb, numbers integer[])
RETURNS TABLE (project_id uuid, hour timestamptz, events bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
#variable_conflict use_column
-- Stores the events of a batch that have these numbers (null: all of them). Returns how many rows were really inserted,
-- by project and hour of the arrival.
--
-- This is the only function that knows the columns. A migration that adds one replaces it: a column that the events of a
-- request share is a key of the request; another one is the next place in the array of the event. An older server leaves
-- it out, so it must be able to be null.
BEGIN
    RETURN QUERY
    WITH stored AS (
        INSERT INTO catchment.event (
            project_id, event_id, name, category, label, value, data, session_id, user_id, url, page_title, page_path,
            referrer, referrer_host, user_agent, browser, browser_version, os, os_version, device, ip, country, region,
            city, visitor, utm_source, utm_medium, utm_campaign, utm_term, utm_content, language, is_bot, properties,
            occurred_at, received_at)
        SELECT
            project_id, sent ->> 0, sent ->> 1, sent ->> 2, sent ->> 3, (sent ->> 4)::double precision, sent -> 5,
            sent ->> 6, sent ->> 7, sent ->> 8, sent ->> 9, sent ->> 10, sent ->> 11, sent ->> 12, user_agent, browser,
            browser_version, os, os_version, device, ip, country, region, city, decode(visitor, 'base64'),
            campaign ->> 'source', campaign ->> 'medium', campaign ->> 'campaign', campaign ->> 'term',
            campaign ->> 'content', sent ->> 17, (sent ->> 13)::boolean, sent -> 14, (sent ->> 15)::timestamptz, received_at
        FROM (
            SELECT row_number() OVER (ORDER BY request_n, event_n) AS n, request.*, event.sent, event.sent -> 16 AS campaign
            FROM ROWS FROM (jsonb_to_recordset(batch) AS (
                project_id uuid, user_agent text, browser text, browser_version text, os text, os_version text,
                device text, ip text, country text, region text, city text, visitor text, received_at timestamptz,
                events jsonb
            )) WITH ORDINALITY AS request (
                project_id, user_agent, browser, browser_version, os, os_version, device, ip, country, region, city,
                visitor, received_at, events, request_n)
            CROSS JOIN LATERAL jsonb_array_elements(request.events) WITH ORDINALITY AS event (sent, event_n)
        ) AS event
        WHERE numbers IS NULL OR n = ANY (numbers)
        RETURNING project_id, received_at
    )
    SELECT project_id, date_trunc('hour', received_at, 'UTC'), count(*) FROM stored GROUP BY 1, 2;
END
$body$;

CREATE FUNCTION catchment.log_events(batch jsonb, OUT outcomes text[], OUT uses jsonb)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- Stores events, once each, within the quotas, and counts them.
--
-- batch:   an array of objects: the columns of catchment.event that events have in common (visitor in base64), key_kind,
--          and `events`, an array of arrays, the other columns of each: event_id, name, category, label, value, data,
--          session_id, user_id, url, page_title, page_path, referrer, referrer_host, is_bot, properties, occurred_at, the
--          campaign (null or an object {source, medium, campaign, term, content}), and the language.
-- returns: `outcomes`: for every event, in order: stored, duplicate, or quota_exceeded and the id of the quota that it met;
--          `uses`: the quotas that count these events, as catchment.use_quotas() returns them
-- raises:  CA001 if the server's clock is wrong, CA003 if the transaction can't count exactly; nothing is stored
--
-- Every statement has its own snapshot (READ COMMITTED): a count is read after its lock is held. All sessions take locks
-- in one order: ids (sorted), quotas (by id and window), usage (sorted).
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
    names       text[];
    arrivals    timestamptz[];
    refused     integer[] := '{}';
    limits_met  text[] := '{}';
    kept        integer[];
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

    -- Setting a quota waits for all that have this lock, so it is taken before quotas are looked for.
    LOCK TABLE catchment.usage_count IN ROW EXCLUSIVE MODE;
    counted := EXISTS (SELECT FROM catchment.quota) AND EXISTS (
        SELECT FROM jsonb_to_recordset(batch) AS request (project_id uuid)
        JOIN catchment.project ON project.id = request.project_id
        JOIN catchment.quota ON quota.scope = 'project' AND quota.scope_id = project.id
                             OR quota.scope = 'account' AND quota.scope_id = project.account_id);

    -- (a) The ids, sorted: unsorted ones in two sessions are a deadlock. An id that conflicts is a duplicate.
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
        PERFORM catchment.await_standby();
        outcomes := array_fill('duplicate'::text, ARRAY[total]);
        RETURN;
    END IF;
    -- If all are new and none is counted, `fresh` and `kept` are null, which means all: it saves the list.
    IF taken.events < total THEN
        fresh := ARRAY(
            SELECT min(sent.n) FROM catchment.sent(batch) AS sent
            JOIN unnest(taken.projects, taken.kinds, taken.ids) AS one (project_id, key_kind, event_id)
              ON one.project_id = sent.project_id AND one.key_kind = sent.key_kind
             AND one.event_id = sent.event_id COLLATE "C"
            GROUP BY sent.project_id, sent.key_kind, sent.event_id COLLATE "C" ORDER BY 1);
    ELSIF counted THEN
        fresh := ARRAY(SELECT generate_series(1, total));
    END IF;
    kept := fresh;

    -- (b, c) Only if there are quotas: those that count these events are locked, then read, then added to. The first events
    -- that fit are kept.
    IF counted THEN
        SELECT array_agg(project_id ORDER BY n), array_agg(key_kind ORDER BY n), array_agg(name ORDER BY n),
               array_agg(received_at ORDER BY n)
        INTO projects, kinds, names, arrivals
        FROM catchment.sent(batch) WHERE n = ANY (fresh);
        SELECT * INTO refused, limits_met, uses FROM catchment.use_quotas(fresh, projects, kinds, names, arrivals);
        IF refused <> '{}' THEN
            DELETE FROM catchment.event_id AS known
            USING catchment.sent(batch) AS sent
            WHERE sent.n = ANY (refused) AND known.project_id = sent.project_id
              AND known.key_kind = sent.key_kind AND known.event_id = sent.event_id;
            kept := ARRAY(SELECT n FROM unnest(fresh) AS n WHERE n <> ALL (refused) ORDER BY n);
        END IF;
    END IF;

    -- (d) The events, and usage by the rows that were really inserted.
    INSERT INTO catchment.usage_count AS known (project_id, hour, slot, events)
    SELECT project_id, hour, pg_backend_pid() % 16, events
    FROM catchment.store_rows(batch, CASE WHEN cardinality(kept) < total THEN kept END)
    ORDER BY 1, 2
    ON CONFLICT (project_id, hour, slot) DO UPDATE SET events = known.events + excluded.events;

    -- After usage: closing a month waits for all that have added to it, and whoever adds later sees here that it is closed.
    closed := EXISTS (
        SELECT FROM catchment.closed_period
        WHERE period BETWEEN date_trunc('month', earliest AT TIME ZONE 'UTC')::date AND (latest AT TIME ZONE 'UTC')::date);
    IF closed THEN
        RAISE EXCEPTION USING ERRCODE = 'CA001',
            MESSAGE = format('the server''s clock says %s, and that month is closed', earliest),
            HINT = 'A closed month never changes: set the clock of the server or of the database''s host right (NTP).';
    END IF;

    IF kept IS NULL OR cardinality(kept) = total THEN
        outcomes := array_fill('stored'::text, ARRAY[total]);
        RETURN;
    END IF;
    -- An event that repeats a refused id in the same batch is refused as well.
    SELECT array_agg(CASE WHEN sent.n = ANY (kept) THEN 'stored'
                          WHEN sent.first_n = ANY (refused)
                          THEN 'quota_exceeded ' || limits_met[array_position(refused, sent.first_n)]
                          ELSE 'duplicate' END ORDER BY sent.n)
    INTO outcomes
    FROM (
        SELECT n, min(n) OVER (PARTITION BY project_id, key_kind, event_id COLLATE "C") AS first_n
        FROM catchment.sent(batch)
    ) AS sent;
END
$body$;

CREATE FUNCTION catchment.record_losses(
    the_project uuid, the_kind text, the_report text, arrival timestamptz, counts jsonb,
    known text[], most_words integer, most_reports integer
) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- Counts a report of losses, once.
--
-- counts:  an object, events by reason
-- known:   reasons that are never counted as `other`
-- returns: now, before (this id was counted already), or full (the day has as many reports as it may have)
-- raises:  CA001 if the server's clock is wrong
DECLARE
    the_day date := (arrival AT TIME ZONE 'UTC')::date;
    lost    record;
BEGIN
    PERFORM catchment.check_arrivals(arrival, arrival);
    -- A full day costs no write.
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

    -- Locks the day: the next report reads the counts after this commit.
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
        INSERT INTO catchment.unstored_count AS counted (project_id, hour, outcome, reason, events)
        VALUES (the_project, date_trunc('hour', arrival, 'UTC'), 'lost', lost.reason, lost.events)
        ON CONFLICT (project_id, hour, outcome, reason) DO UPDATE SET events = counted.events + excluded.events;
    END LOOP;
    RETURN 'now';
END
$body$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA catchment FROM PUBLIC;
