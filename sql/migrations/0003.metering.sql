-- Quotas, usage and the end of a month.

CREATE FUNCTION catchment.window_usage(
    the_scope text, the_scope_id uuid, the_window text, starts date, the_keys text DEFAULT 'both'
) RETURNS bigint
LANGUAGE sql STABLE SET enable_seqscan = off SET jit = off SET search_path = pg_catalog, pg_temp AS $body$
-- Counts the events of a scope in one window anew. It reads the scope's projects alone, by an index. For one kind of key
-- it counts the ids of stored events; ids are known for longer than a month. (jit is off: a plan that avoids a
-- sequential scan can look so expensive that it would be compiled first, which takes seconds.)
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
    ELSE (
        SELECT coalesce(sum(events), 0)::bigint FROM catchment.usage_count
        WHERE hour >= (SELECT first FROM bounds) AND hour < (SELECT past FROM bounds)
          AND project_id IN (SELECT id FROM projects))
END
$body$;

CREATE FUNCTION catchment.quota_windows(batch jsonb, limits jsonb)
RETURNS TABLE (scope text, scope_id uuid, "window" text, starts date, keys text, events bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
#variable_conflict use_column
-- Returns the windows of these limits at the arrivals of the batch, and what is used of each; null if no row counts it
-- yet. It returns those of both kinds of key, whatever the batch has: a row is made while there is little to count.
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

CREATE FUNCTION catchment.windows_of(numbers integer[], projects uuid[], kinds text[], arrivals timestamptz[])
RETURNS TABLE (scope text, scope_id uuid, "window" text, starts date, keys text, project_id uuid, of_events integer[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
#variable_conflict use_column
-- Returns every window that could count these events, with the numbers of the events it counts: windows of the account
-- and the project, of the month and the day, of both kinds of key and of the event's own. A window of an account stands
-- once for each of its projects.
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
-- Finds the events that exceed the limits, and the limit that each met, as `scope window keys` (of several, the one that
-- ends last). The first events in order take what is left.
-- It locks the rows of all quotas that count these events, those that the caller does not know of too, since what it
-- knows may be seconds old. The order of locks is the same for all: accounts, then projects, then window and kind of key.
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

    -- Mostly all events fit, which is found out without looking at each.
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
-- Adds stored events to every quota that counts them.
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

CREATE FUNCTION catchment.close_period(closing date) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
-- Makes a period final, and replaces the writers' counts of each project by one row. A second call changes nothing.
-- Raises CA001 if events of the period may still arrive, by the database's clock.
BEGIN
    IF (closing + interval '1 month' + interval '1 hour') AT TIME ZONE 'UTC'
        > catchment.clock() + catchment.clock_tolerance()
    THEN
        RAISE EXCEPTION USING ERRCODE = 'CA001',
            MESSAGE = format('the database''s clock says %s: the month of %s still runs', catchment.clock(), closing),
            HINT = 'Set the clock of the server or of the database''s host right (NTP).';
    END IF;
    -- Writers that add to usage now end first, and are counted; later ones find the month closed.
    LOCK TABLE catchment.usage_count IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO catchment.closed_period (period) VALUES (closing) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        WITH folded AS (
            DELETE FROM catchment.usage_count
            WHERE hour >= closing::timestamp AT TIME ZONE 'UTC' AND hour < (closing + interval '1 month') AT TIME ZONE 'UTC'
            RETURNING project_id, hour, events)
        INSERT INTO catchment.usage_count (project_id, hour, slot, events)
        SELECT project_id, hour, -1, sum(events) FROM folded GROUP BY project_id, hour;
    END IF;
END
$body$;

CREATE FUNCTION catchment.fold_usage(ended_before timestamptz, at_most integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
-- Adds the writers' counts of hours that ended an hour before a time to one row for each project and hour, at most so many rows;
-- returns how many. It waits for nobody: a row that a writer holds is left for the next time. One session does it at a
-- time, under the lock of the maintenance.
DECLARE
    rows integer;
BEGIN
    WITH folding AS (
        SELECT project_id, hour, slot FROM catchment.usage_count
        WHERE hour < least(ended_before, catchment.clock()) - interval '2 hours' AND slot >= 0
        ORDER BY hour LIMIT at_most FOR UPDATE SKIP LOCKED
    ), folded AS (
        DELETE FROM catchment.usage_count AS known USING folding
        WHERE (known.project_id, known.hour, known.slot) = (folding.project_id, folding.hour, folding.slot)
        RETURNING known.project_id, known.hour, known.events
    ), added AS (
        INSERT INTO catchment.usage_count AS known (project_id, hour, slot, events)
        SELECT project_id, hour, -1, sum(events) FROM folded GROUP BY project_id, hour
        ON CONFLICT (project_id, hour, slot) DO UPDATE SET events = known.events + excluded.events
    )
    SELECT count(*) INTO rows FROM folded;
    RETURN rows;
END
$body$;

CREATE FUNCTION catchment.add_outcomes(counts jsonb, origins jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
#variable_conflict use_column
-- Adds events that were not stored to their hours, and notes the last origins that were refused. An hour that is ahead, or
-- a day old, by the database's clock is wrong: this hour counts instead. All sessions take locks in one order.
--
-- counts:  an array of objects {project_id, hour, outcome, reason, events}
-- origins: an array of objects {project_id, origin, refused_at}, one for a project
DECLARE
    present   timestamptz := catchment.clock();
    tolerance interval := catchment.clock_tolerance();
BEGIN
    INSERT INTO catchment.unstored_count AS known (project_id, hour, outcome, reason, events)
    SELECT one.project_id,
           date_trunc('hour', CASE WHEN one.hour BETWEEN present - interval '1 day' - tolerance AND present + tolerance
                                   THEN one.hour ELSE present END, 'UTC') AS hour,
           one.outcome, one.reason, sum(one.events)::bigint
    FROM jsonb_to_recordset(counts) AS one (
        project_id uuid, hour timestamptz, outcome text, reason text, events bigint)
    JOIN catchment.project ON project.id = one.project_id AND project.deleted_at IS NULL
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, one.outcome COLLATE "C", one.reason COLLATE "C"
    ON CONFLICT (project_id, hour, outcome, reason) DO UPDATE SET events = known.events + excluded.events;

    INSERT INTO catchment.refused_origin AS known (project_id, origin, refused_at)
    SELECT one.project_id, one.origin, least(one.refused_at, present + tolerance)
    FROM jsonb_to_recordset(origins) AS one (project_id uuid, origin text, refused_at timestamptz)
    JOIN catchment.project ON project.id = one.project_id AND project.deleted_at IS NULL
    ORDER BY 1
    ON CONFLICT (project_id) DO UPDATE SET origin = excluded.origin, refused_at = excluded.refused_at
    WHERE known.refused_at <= excluded.refused_at;
END
$body$;

CREATE FUNCTION catchment.add_samples(samples json, kept integer) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- Adds samples to the inbox, and deletes those that are too many for their project and reason. The newest of each sender
-- stays before the second newest of any, so one sender can't push out the others. A sample whose id is there is passed
-- over. An arrival that is ahead of the database's clock is wrong: the present counts instead. (json, not jsonb, keeps
-- numbers as they were sent.)
--
-- samples: an array of objects with the columns of catchment.inbox_sample; key_fingerprint is hexadecimal
-- kept:    samples of a project and reason that stay
BEGIN
    -- One session at a time, so that none counts without the rows of another.
    PERFORM pg_advisory_xact_lock(hashtext('catchment inbox'));

    INSERT INTO catchment.inbox_sample (
        id, project_id, reason, outcome, hint, payload, taken, replay, obstacle, event_id, key_kind, key_fingerprint,
        origin, headers, do_not_track, clock_offset, sender, received_at)
    SELECT one.id, one.project_id, one.reason, one.outcome, one.hint, coalesce(one.payload, 'null'), one.taken,
           one.replay, one.obstacle, one.event_id, one.key_kind, decode(one.key_fingerprint, 'hex'), one.origin,
           one.headers, one.do_not_track, one.clock_offset, one.sender,
           least(one.received_at, catchment.clock() + catchment.clock_tolerance())
    FROM json_to_recordset(samples) AS one (
        id text, project_id uuid, reason text, outcome text, hint jsonb, payload json, taken jsonb, replay text,
        obstacle text, event_id text, key_kind text, key_fingerprint text, origin text, headers jsonb,
        do_not_track boolean, clock_offset interval, sender integer, received_at timestamptz)
    JOIN catchment.project ON project.id = one.project_id AND project.deleted_at IS NULL
    ON CONFLICT (id) DO NOTHING;

    DELETE FROM catchment.inbox_sample WHERE id IN (
        SELECT ranked.id
        FROM (
            SELECT placed.id,
                   row_number() OVER (
                       PARTITION BY placed.project_id, placed.reason
                       ORDER BY placed.of_sender, placed.received_at DESC, placed.id DESC) AS place
            FROM (
                SELECT known.id, known.project_id, known.reason, known.received_at,
                       row_number() OVER (
                           PARTITION BY known.project_id, known.reason, known.sender
                           ORDER BY known.received_at DESC, known.id DESC) AS of_sender
                FROM catchment.inbox_sample AS known
                WHERE (known.project_id, known.reason) IN (
                    SELECT DISTINCT one.project_id, one.reason
                    FROM json_to_recordset(samples) AS one (project_id uuid, reason text))
            ) AS placed
        ) AS ranked
        WHERE ranked.place > kept);
END
$body$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA catchment FROM PUBLIC;
