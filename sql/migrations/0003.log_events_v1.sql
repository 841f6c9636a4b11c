-- The one way in which events are stored and counted: one call, one transaction, an outcome for every row.

CREATE FUNCTION catchment.sent(batch jsonb)
RETURNS TABLE (n integer, project_id uuid, key_kind text, event_id text, received_at timestamptz)
LANGUAGE sql STABLE AS $body$
-- What identifies the events of a batch, numbered from 1 in the order in which they were sent.
SELECT row_number() OVER (ORDER BY request.n, event.n)::integer, request.project_id, request.key_kind,
       event.event_id, request.received_at
FROM ROWS FROM (jsonb_to_recordset(batch) AS (
    project_id uuid, key_kind text, received_at timestamptz, events jsonb
)) WITH ORDINALITY AS request (project_id, key_kind, received_at, events, n)
CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(request.events) AS (event_id text))
    WITH ORDINALITY AS event (event_id, n)
$body$;

CREATE FUNCTION catchment.await_standby() RETURNS void
LANGUAGE plpgsql AS $body$
-- Lets this transaction's commit wait for the synchronous standby, where there is one, though it changes nothing. What
-- it found could be a commit that no standby has: its session waited for one, and was ended.
BEGIN
    IF current_setting('synchronous_standby_names') <> '' THEN
        PERFORM pg_logical_emit_message(true, 'catchment', '');
    END IF;
END
$body$;

CREATE FUNCTION catchment.quota_windows(batch jsonb, limits jsonb)
RETURNS TABLE (scope text, scope_id uuid, "window" text, starts date, events bigint)
LANGUAGE sql STABLE AS $body$
-- The windows of these limits that the batch falls into, and what is used of each; null where no row counts it yet.
SELECT DISTINCT one.scope, one.scope_id, one."window", at.starts, used.events
FROM jsonb_to_recordset(batch) AS sent (project_id uuid, received_at timestamptz)
JOIN jsonb_to_recordset(limits) AS one (project_id uuid, scope text, scope_id uuid, "window" text)
  USING (project_id)
CROSS JOIN LATERAL (SELECT date_trunc(one."window", sent.received_at AT TIME ZONE 'UTC')::date) AS at (starts)
LEFT JOIN catchment.quota_usage AS used
  ON used.scope = one.scope AND used.scope_id = one.scope_id AND used."window" = one."window"
 AND used.starts = at.starts
$body$;

CREATE FUNCTION catchment.windows_of(numbers integer[], projects uuid[], arrivals timestamptz[])
RETURNS TABLE (n integer, project_id uuid, scope text, scope_id uuid, "window" text, starts date)
LANGUAGE sql STABLE AS $body$
-- Every window that could count these events: of the account and the project, the month and the day.
SELECT one.n, one.project_id, scopes.scope, scopes.scope_id, windows."window",
       date_trunc(windows."window", one.received_at AT TIME ZONE 'UTC')::date
FROM unnest(numbers, projects, arrivals) AS one (n, project_id, received_at)
JOIN catchment.project ON project.id = one.project_id
CROSS JOIN LATERAL (VALUES ('account', project.account_id), ('project', project.id)) AS scopes (scope, scope_id)
CROSS JOIN (VALUES ('month'), ('day')) AS windows ("window")
$body$;

CREATE FUNCTION catchment.over_quota(numbers integer[], projects uuid[], arrivals timestamptz[], limits jsonb)
RETURNS integer[]
LANGUAGE plpgsql VOLATILE AS $body$
-- Which of these events find no room in the limits; in order, the first that fit have it. Locks the rows of all
-- quotas that count them, of those unknown to the caller too (what it knows may be seconds old).
DECLARE
    room     bigint[] := '{}';
    refused  integer[] := '{}';
    one      record;
    fits     boolean;
    k        integer;
BEGIN
    PERFORM FROM catchment.quota_usage
    WHERE (scope, scope_id, "window", starts) IN (
        SELECT w.scope, w.scope_id, w."window", w.starts FROM catchment.windows_of(numbers, projects, arrivals) AS w)
    ORDER BY scope, scope_id, "window", starts
    FOR UPDATE;

    FOR one IN
        SELECT n, array_agg(number) AS needs, array_agg(left_over) AS left_over
        FROM (
            SELECT w.n, l.hard - used.events AS left_over,
                   dense_rank() OVER (ORDER BY w.scope, w.scope_id, w."window", w.starts)::integer AS number
            FROM catchment.windows_of(numbers, projects, arrivals) AS w
            JOIN jsonb_to_recordset(limits) AS l (project_id uuid, scope text, scope_id uuid, "window" text, hard bigint)
              ON l.project_id = w.project_id AND l.scope = w.scope AND l.scope_id = w.scope_id AND l."window" = w."window"
            JOIN catchment.quota_usage AS used
              ON used.scope = w.scope AND used.scope_id = w.scope_id AND used."window" = w."window"
             AND used.starts = w.starts
        ) AS needed
        GROUP BY n ORDER BY n
    LOOP
        fits := true;
        FOR i IN 1 .. cardinality(one.needs) LOOP
            k := one.needs[i];
            room[k] := coalesce(room[k], one.left_over[i]);
            fits := fits AND room[k] > 0;
        END LOOP;
        IF fits THEN
            FOREACH k IN ARRAY one.needs LOOP
                room[k] := room[k] - 1;
            END LOOP;
        ELSE
            refused := refused || one.n;
        END IF;
    END LOOP;
    RETURN refused;
END
$body$;

CREATE FUNCTION catchment.count_quotas(numbers integer[], projects uuid[], arrivals timestamptz[], refused integer[])
RETURNS void
LANGUAGE sql VOLATILE AS $body$
-- Adds the events that were stored to every quota that counts them.
UPDATE catchment.quota_usage AS used SET events = used.events + added.events
FROM (
    SELECT scope, scope_id, "window", starts, count(*) AS events
    FROM catchment.windows_of(numbers, projects, arrivals) WHERE n <> ALL (refused) GROUP BY 1, 2, 3, 4
) AS added
WHERE used.scope = added.scope AND used.scope_id = added.scope_id AND used."window" = added."window"
  AND used.starts = added.starts
$body$;

CREATE FUNCTION catchment.log_events_v1(batch jsonb, limits jsonb) RETURNS text[]
LANGUAGE plpgsql VOLATILE AS $body$
-- batch:   an array of objects, the columns of catchment.event that events have in common, key_kind, and `events`: an
--          array of objects, the other columns of each. What is null may be left out everywhere.
-- limits:  an array of objects {project_id, scope, scope_id, window, hard}
-- returns: for every event, in order: stored, duplicate, or quota_exceeded
--
-- Every statement has a snapshot of its own (READ COMMITTED): a count is read after its lock is held. Locks are taken
-- in one order by all: ids (sorted), quotas (accounts, then projects), usage (sorted).
DECLARE
    total     integer;
    counted   boolean;
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
    WITH first_of AS MATERIALIZED (
        SELECT DISTINCT ON (project_id, key_kind COLLATE "C", event_id COLLATE "C")
               n, project_id, key_kind, event_id, received_at
        FROM catchment.sent(batch)
        ORDER BY project_id, key_kind COLLATE "C", event_id COLLATE "C", n
    ), taken AS (
        INSERT INTO catchment.event_id (project_id, key_kind, event_id, received_at)
        SELECT project_id, key_kind, event_id, received_at FROM first_of
        ORDER BY project_id, key_kind COLLATE "C", event_id COLLATE "C"
        ON CONFLICT DO NOTHING
        RETURNING project_id, key_kind, event_id
    )
    SELECT array_agg(n ORDER BY n), array_agg(project_id ORDER BY n), array_agg(received_at ORDER BY n)
    INTO fresh, projects, arrivals
    FROM first_of JOIN taken USING (project_id, key_kind, event_id);

    IF fresh IS NULL THEN
        PERFORM catchment.await_standby();
        RETURN array_fill('duplicate'::text, ARRAY[total]);
    END IF;
    kept := fresh;

    -- (b, c) Only where a hard quota exists: its rows are locked, then read, and the first that fit are stored.
    IF counted THEN
        refused := catchment.over_quota(fresh, projects, arrivals, limits);
        IF refused <> '{}' THEN
            DELETE FROM catchment.event_id AS known
            USING catchment.sent(batch) AS sent
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
            project_id, event_id, name, category, label, value, coalesce(data, '{}'), session_id, user_id, url,
            page_title, page_path, referrer, referrer_host, user_agent, browser, browser_version, os, os_version,
            device, ip, country, region, city, utm_source, utm_medium, utm_campaign, utm_term, utm_content,
            coalesce(is_bot, false), coalesce(properties, '{}'), occurred_at, received_at
        FROM (
            SELECT row_number() OVER (ORDER BY request.request_n, event.event_n) AS n, request.*, event.*
            FROM ROWS FROM (jsonb_to_recordset(batch) AS (
                project_id uuid, user_agent text, browser text, browser_version text, os text, os_version text,
                device text, ip text, country text, region text, city text, received_at timestamptz, events jsonb
            )) WITH ORDINALITY AS request (
                project_id, user_agent, browser, browser_version, os, os_version, device, ip, country, region, city,
                received_at, events, request_n)
            CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(request.events) AS (
                event_id text, name text, category text, label text, value double precision, data jsonb,
                session_id text, user_id text, url text, page_title text, page_path text, referrer text,
                referrer_host text, utm_source text, utm_medium text, utm_campaign text, utm_term text,
                utm_content text, is_bot boolean, properties jsonb, occurred_at timestamptz
            )) WITH ORDINALITY AS event (
                event_id, name, category, label, value, data, session_id, user_id, url, page_title, page_path,
                referrer, referrer_host, utm_source, utm_medium, utm_campaign, utm_term, utm_content, is_bot,
                properties, occurred_at, event_n)
        ) AS sent
        WHERE cardinality(kept) = total OR n = ANY (kept)
        RETURNING project_id, received_at
    )
    INSERT INTO catchment.usage_count AS known (project_id, period, slot, events)
    SELECT project_id, date_trunc('month', received_at AT TIME ZONE 'UTC')::date, pg_backend_pid() % 16, count(*)
    FROM stored GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (project_id, period, slot) DO UPDATE SET events = known.events + excluded.events;

    IF counted OR EXISTS (SELECT FROM catchment.quota_usage) THEN
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
        SELECT n, min(n) OVER (PARTITION BY project_id, key_kind, event_id) AS first_n FROM catchment.sent(batch)
    ) AS sent;
    RETURN outcomes;
END
$body$;
