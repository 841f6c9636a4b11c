-- Events told by place: their columns' names were half of what the database had to read. log_events_v1 stays for servers
-- that still call it.

CREATE FUNCTION catchment.sent_v2(batch jsonb)
RETURNS TABLE (n integer, project_id uuid, key_kind text, event_id text, received_at timestamptz)
LANGUAGE sql STABLE AS $body$
-- What identifies the events of a batch, numbered from 1 in the order in which they were sent.
SELECT row_number() OVER (ORDER BY request.n, event.n)::integer, request.project_id, request.key_kind,
       event.columns ->> 0, request.received_at
FROM ROWS FROM (jsonb_to_recordset(batch) AS (
    project_id uuid, key_kind text, received_at timestamptz, events jsonb
)) WITH ORDINALITY AS request (project_id, key_kind, received_at, events, n)
CROSS JOIN LATERAL jsonb_array_elements(request.events) WITH ORDINALITY AS event (columns, n)
$body$;

CREATE FUNCTION catchment.log_events_v2(batch jsonb, limits jsonb) RETURNS text[]
LANGUAGE plpgsql VOLATILE AS $body$
-- batch:   an array of objects: the columns of catchment.event that events have in common, key_kind, and `events`, an
--          array of arrays, the other columns of each: event_id, name, category, label, value, data, session_id, user_id,
--          url, page_title, page_path, referrer, referrer_host, is_bot, properties, occurred_at, and the campaign, null or
--          an object {source, medium, campaign, term, content}.
-- limits:  an array of objects {project_id, scope, scope_id, window, hard}
-- returns: for every event, in order: stored, duplicate, or quota_exceeded
--
-- Every statement has a snapshot of its own (READ COMMITTED): a count is read after its lock is held. Locks are taken
-- in one order by all: ids (sorted), quotas (accounts, then projects), usage (sorted).
DECLARE
    total     integer;
    counted   boolean;
    taken     record;
    fresh     integer[];
    projects  uuid[];
    arrivals  timestamptz[];
    refused   integer[] := '{}';
    kept      integer[];
    outcomes  text[];
BEGIN
    SELECT coalesce(sum(jsonb_array_length(request -> 'events')), 0) INTO total
    FROM jsonb_array_elements(batch) AS request;

    -- Who sets a quota makes its row of that window. One of a later window is made here, by the first that meets it,
    -- from a sum over usage; while that happens nobody may add to usage unseen.
    IF limits <> '[]' AND EXISTS (SELECT FROM catchment.quota_windows(batch, limits) WHERE events IS NULL) THEN
        LOCK TABLE catchment.usage_count IN SHARE ROW EXCLUSIVE MODE;
        INSERT INTO catchment.quota_usage (scope, scope_id, "window", starts, events)
        SELECT DISTINCT scope, scope_id, "window", starts,
               catchment.window_usage(scope, scope_id, "window", starts)
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
        SELECT array_agg(project_id ORDER BY n), array_agg(received_at ORDER BY n) INTO projects, arrivals
        FROM catchment.sent_v2(batch) WHERE n = ANY (fresh);
        refused := catchment.over_quota(fresh, projects, arrivals, limits);
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

    IF counted OR EXISTS (SELECT FROM catchment.quota_usage) THEN
        IF projects IS NULL THEN
            SELECT array_agg(project_id ORDER BY n), array_agg(received_at ORDER BY n) INTO projects, arrivals
            FROM catchment.sent_v2(batch) WHERE n = ANY (fresh);
        END IF;
        PERFORM catchment.count_quotas(fresh, projects, arrivals, refused);
    END IF;

    IF cardinality(kept) = total THEN
        RETURN array_fill('stored'::text, ARRAY[total]);
    END IF;
    -- What repeats an id that found no room found none either.
    SELECT array_agg(CASE WHEN n = ANY (kept) THEN 'stored'
                          WHEN first_n = ANY (refused) THEN 'quota_exceeded'
                          ELSE 'duplicate' END ORDER BY n)
    INTO outcomes
    FROM (
        SELECT n, min(n) OVER (PARTITION BY project_id, key_kind, event_id COLLATE "C") AS first_n
        FROM catchment.sent_v2(batch)
    ) AS sent;
    RETURN outcomes;
END
$body$;
