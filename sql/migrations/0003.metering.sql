-- Quotas, usage and the end of a month.

CREATE FUNCTION catchment.quota_count(the_quota uuid, first timestamptz, past timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET jit = off SET search_path = pg_catalog, pg_temp AS $body$
-- Counts the stored events that a quota counts, from a time to before another one. It reads the scope's projects alone, by
-- an index. For one kind of key it looks at the ids of stored events; ids are known for longer than a month. (jit is off:
-- a plan that avoids a sequential scan can look so expensive that it would be compiled first, which takes seconds.)
DECLARE
    one      catchment.quota;
    projects uuid[];
BEGIN
    SELECT * INTO one FROM catchment.quota WHERE id = the_quota;
    projects := ARRAY(SELECT id FROM catchment.project
                      WHERE CASE one.scope WHEN 'account' THEN account_id = one.scope_id ELSE id = one.scope_id END);
    IF one.keys IS NULL AND one.events = '*' THEN
        RETURN (SELECT coalesce(sum(events), 0)::bigint FROM catchment.usage_count
                WHERE project_id = ANY (projects) AND hour >= first AND hour < past);
    ELSIF one.keys IS NULL THEN
        RETURN (SELECT count(*) FROM catchment.event
                WHERE project_id = ANY (projects) AND received_at >= first AND received_at < past
                  AND name COLLATE "C" LIKE one.name_like);
    END IF;
    RETURN (
        SELECT count(*) FROM (
            SELECT DISTINCT project_id, event_id, received_at FROM catchment.event
            WHERE project_id = ANY (projects) AND received_at >= first AND received_at < past
              AND (one.events = '*' OR name COLLATE "C" LIKE one.name_like)
        ) AS stored
        WHERE EXISTS (
            SELECT FROM catchment.event_id AS known
            WHERE known.project_id = stored.project_id AND known.key_kind = one.keys
              AND known.event_id = stored.event_id COLLATE "C" AND known.received_at = stored.received_at));
END
$body$;

CREATE FUNCTION catchment.begins_later(the_quota uuid, starts date) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $body$
-- Returns true if a window began after every commit counted for its quota: it has no events that are not in its row.
SELECT starts::timestamp AT TIME ZONE 'UTC' - catchment.clock_tolerance() > counted_from
FROM catchment.quota WHERE id = the_quota
$body$;

CREATE FUNCTION catchment.window_usage(the_quota uuid, starts date) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $body$
-- Counts the events of a quota's window anew.
SELECT CASE WHEN catchment.begins_later(the_quota, starts) THEN 0 ELSE catchment.quota_count(
    the_quota, starts::timestamp AT TIME ZONE 'UTC',
    (starts + CASE quota."window" WHEN 'day' THEN interval '1 day' ELSE interval '1 month' END) AT TIME ZONE 'UTC') END
FROM catchment.quota WHERE id = the_quota
$body$;

CREATE FUNCTION catchment.state_of(
    soft bigint, hard bigint, grace integer, used bigint, soft_crossed timestamptz, at timestamptz
) RETURNS smallint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $body$
-- Returns the state of a quota: 0 ok, 1 warning, 2 soft, 3 grace, 4 hard. core/metering/ladder.py has the same rules.
BEGIN
    IF used >= hard THEN
        RETURN CASE WHEN grace > 0 AND used >= soft AND at < soft_crossed + grace * interval '24 hours' THEN 3 ELSE 4 END;
    END IF;
    RETURN CASE WHEN used >= soft THEN 2
                WHEN used >= coalesce(soft, hard) - coalesce(soft, hard) / 5 THEN 1
                ELSE 0 END;
END
$body$;

CREATE FUNCTION catchment.enter_states(quotas uuid[], windows date[], at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- Notes the states that these windows have entered, each once a window, those that were skipped too. The caller holds the
-- locks of the windows' rows.
BEGIN
    WITH present AS (
        SELECT quota, used.quota_id, used.starts, used.events, used.entered, quota.soft IS NOT NULL AS has_soft,
               catchment.state_of(quota.soft, quota.hard, quota.grace, used.events, used.soft_crossed, at) AS state
        FROM unnest(quotas, windows) AS one (quota_id, starts)
        JOIN catchment.quota_usage AS used ON used.quota_id = one.quota_id AND used.starts = one.starts
        JOIN catchment.quota ON quota.id = one.quota_id
        WHERE quota.holds
    ), noted AS (
        UPDATE catchment.quota_usage AS used SET entered = present.state FROM present
        WHERE used.quota_id = present.quota_id AND used.starts = present.starts AND present.state > present.entered
    )
    INSERT INTO catchment.quota_state (quota_id, starts, state, quota, used, entered_at)
    SELECT present.quota_id, present.starts, rung.state, to_jsonb(present.quota), present.events, at
    FROM present
    JOIN (VALUES (1, 'warning'), (2, 'soft'), (3, 'grace'), (4, 'hard')) AS rung (height, state)
      ON rung.height > present.entered AND rung.height <= present.state
    WHERE (rung.height <> 2 OR present.has_soft) AND (rung.height <> 3 OR present.state = 3)
    ORDER BY present.quota_id, present.starts, rung.height
    ON CONFLICT DO NOTHING;
END
$body$;

CREATE TYPE catchment.counted_window AS (quota_id uuid, starts date, numbers integer[], arrivals timestamptz[]);
COMMENT ON TYPE catchment.counted_window IS
    'a window of a quota, and the events of a batch that it counts: their numbers and arrivals, in order';

CREATE FUNCTION catchment.counted_windows(
    numbers integer[], projects uuid[], kinds text[], names text[], arrivals timestamptz[]
) RETURNS catchment.counted_window[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
#variable_conflict use_column
-- Returns every window of a quota that counts one of these events, in the order in which all sessions lock them; null:
-- there is none.
BEGIN
    RETURN (
        WITH sent AS (
            SELECT * FROM unnest(numbers, projects, kinds, names, arrivals)
                AS one (n, project_id, key_kind, name, received_at)
        ), scopes AS (
            SELECT project.id AS project_id, owner.scope, owner.scope_id
            FROM catchment.project
            CROSS JOIN LATERAL (VALUES ('account', project.account_id), ('project', project.id)) AS owner (scope, scope_id)
            WHERE project.id IN (SELECT project_id FROM sent)
        )
        SELECT array_agg(ROW(id, starts, of_events, arrived)::catchment.counted_window ORDER BY id, starts)
        FROM (
            SELECT quota.id, at.starts, array_agg(sent.n ORDER BY sent.n) AS of_events,
                   array_agg(sent.received_at ORDER BY sent.n) AS arrived
            FROM scopes
            JOIN catchment.quota ON quota.scope = scopes.scope AND quota.scope_id = scopes.scope_id
            JOIN sent ON sent.project_id = scopes.project_id
             AND (quota.keys IS NULL OR quota.keys = sent.key_kind)
             AND (quota.events = '*' OR sent.name COLLATE "C" LIKE quota.name_like)
            CROSS JOIN LATERAL (
                SELECT date_trunc(quota."window", sent.received_at AT TIME ZONE 'UTC')::date AS starts
            ) AS at
            GROUP BY quota.id, at.starts
        ) AS counted
    );
END
$body$;

CREATE FUNCTION catchment.over_quota(windows catchment.counted_window[], OUT refused integer[], OUT limits_met text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
-- Finds the events that exceed hard limits, and the id of the quota that each met (of several, the one that ends last).
-- The first events in order take what is left. The caller holds the locks of the windows' rows.
-- With a grace, any number of events fits until soft is crossed, and while the grace runs.
DECLARE
    used   bigint[] := '{}';
    one    record;
    met    uuid;
    k      integer;
BEGIN
    refused := '{}';
    limits_met := '{}';
    -- Mostly all events fit, which is found out without looking at each.
    IF NOT EXISTS (
        SELECT FROM unnest(windows) AS w
        JOIN catchment.quota ON quota.id = w.quota_id
        JOIN catchment.quota_usage AS used ON used.quota_id = w.quota_id AND used.starts = w.starts
        WHERE quota.holds AND used.events + cardinality(w.numbers) > quota.hard
          AND NOT (quota.grace > 0 AND (used.events < quota.soft OR (SELECT max(at) FROM unnest(w.arrivals) AS at)
                                                       < used.soft_crossed + quota.grace * interval '24 hours')))
    THEN
        RETURN;
    END IF;

    FOR one IN
        SELECT n, array_agg(number ORDER BY "window" DESC, number) AS needs,
               array_agg(id ORDER BY "window" DESC, number) AS ids,
               array_agg(events ORDER BY "window" DESC, number) AS used,
               array_agg(hard ORDER BY "window" DESC, number) AS hard
        FROM (
            SELECT sent.n, w.number::integer, quota.id, quota."window", used.events, CASE
                WHEN quota.grace > 0 AND (used.events < quota.soft
                                          OR sent.at < used.soft_crossed + quota.grace * interval '24 hours') THEN NULL
                ELSE quota.hard END AS hard
            FROM unnest(windows) WITH ORDINALITY AS w (quota_id, starts, numbers, arrivals, number)
            JOIN catchment.quota ON quota.id = w.quota_id
            JOIN catchment.quota_usage AS used ON used.quota_id = w.quota_id AND used.starts = w.starts
            CROSS JOIN LATERAL unnest(w.numbers, w.arrivals) AS sent (n, at)
            WHERE quota.holds
        ) AS needed
        GROUP BY n ORDER BY n
    LOOP
        met := NULL;
        FOR i IN 1 .. cardinality(one.needs) LOOP
            k := one.needs[i];
            used[k] := coalesce(used[k], one.used[i]);
            IF used[k] >= one.hard[i] AND met IS NULL THEN
                met := one.ids[i];
                refused := refused || one.n;
                limits_met := limits_met || met::text;
            END IF;
        END LOOP;
        IF met IS NULL THEN
            FOREACH k IN ARRAY one.needs LOOP
                used[k] := used[k] + 1;
            END LOOP;
        END IF;
    END LOOP;
END
$body$;

CREATE FUNCTION catchment.use_quotas(
    numbers integer[], projects uuid[], kinds text[], names text[], arrivals timestamptz[],
    OUT refused integer[], OUT limits_met text[], OUT uses jsonb)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- Finds the events that exceed hard limits, adds the others to every quota that counts them, and notes the states that
-- those quotas enter. `uses`: the quotas that count these events, as they are now, each with the numbers of its events;
-- null: none counts one. `limits_met`: of each refused event, the id of the quota.
DECLARE
    windows  catchment.counted_window[] := catchment.counted_windows(numbers, projects, kinds, names, arrivals);
    latest   timestamptz;
    risen    boolean;
BEGIN
    refused := '{}';
    IF windows IS NULL THEN
        RETURN;
    END IF;
    -- The first commit of a window makes its row. While a quota is being set, the rows of earlier windows are made by that.
    INSERT INTO catchment.quota_usage (quota_id, starts, events)
    SELECT w.quota_id, w.starts, catchment.window_usage(w.quota_id, w.starts)
    FROM unnest(windows) AS w JOIN catchment.quota ON quota.id = w.quota_id
    WHERE (quota.holds OR catchment.begins_later(w.quota_id, w.starts)) AND NOT EXISTS (
        SELECT FROM catchment.quota_usage AS used WHERE used.quota_id = w.quota_id AND used.starts = w.starts)
    ORDER BY 1, 2
    ON CONFLICT DO NOTHING;

    PERFORM FROM catchment.quota_usage AS used
    WHERE (used.quota_id, used.starts) IN (SELECT w.quota_id, w.starts FROM unnest(windows) AS w)
    ORDER BY used.quota_id, used.starts
    FOR UPDATE;
    -- From here on nobody changes these quotas or their windows: the limits are read after the locks are held.
    SELECT * INTO refused, limits_met FROM catchment.over_quota(windows);

    UPDATE catchment.quota_usage AS used
    SET events = used.events + added.events, soft_crossed = CASE
        WHEN used.events + added.events >= quota.soft
        THEN coalesce(used.soft_crossed, added.arrivals[greatest(quota.soft - used.events, 1)]) END
    FROM (
        SELECT w.quota_id, w.starts, kept.events, kept.arrivals
        FROM unnest(windows) AS w
        CROSS JOIN LATERAL (
            SELECT count(*) AS events, array_agg(sent.at ORDER BY sent.n) AS arrivals
            FROM unnest(w.numbers, w.arrivals) AS sent (n, at) WHERE sent.n <> ALL (refused)
        ) AS kept
        WHERE kept.events > 0
    ) AS added
    JOIN catchment.quota ON quota.id = added.quota_id
    WHERE used.quota_id = added.quota_id AND used.starts = added.starts;

    SELECT max(at) INTO latest FROM unnest(arrivals) AS at;
    SELECT jsonb_agg(jsonb_build_object(
               'quota', to_jsonb(quota) - '{name_like,counted_from,holds}'::text[], 'used', used.events,
               'soft_crossed', used.soft_crossed, 'numbers', w.numbers)),
           bool_or(used.entered < catchment.state_of(
               quota.soft, quota.hard, quota.grace, used.events, used.soft_crossed, latest))
    INTO uses, risen
    FROM unnest(windows) AS w
    JOIN catchment.quota ON quota.id = w.quota_id
    JOIN catchment.quota_usage AS used ON used.quota_id = w.quota_id AND used.starts = w.starts
    WHERE quota.holds;
    IF risen THEN
        PERFORM catchment.enter_states(
            ARRAY(SELECT w.quota_id FROM unnest(windows) AS w), ARRAY(SELECT w.starts FROM unnest(windows) AS w), latest);
    END IF;
END
$body$;

CREATE FUNCTION catchment.begin_quotas(wanted jsonb) RETURNS uuid[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
#variable_conflict use_column
-- Lets every commit count for the quotas that are new, with rows of their windows that begin at 0; returns their ids. They
-- do not hold yet. What a call that was broken off left behind is begun anew. One session does it at a time.
--
-- wanted: an array of objects {id, scope, scope_id, window, keys, events, name_like, soft, hard, grace, plan}
DECLARE
    present timestamptz := catchment.clock();
    left_over uuid[];
    made    uuid[];
BEGIN
    left_over := ARRAY(SELECT id FROM catchment.quota WHERE NOT holds);
    PERFORM FROM catchment.quota_usage WHERE quota_id = ANY (left_over) ORDER BY quota_id, starts FOR UPDATE;
    DELETE FROM catchment.quota_usage WHERE quota_id = ANY (left_over);
    DELETE FROM catchment.quota WHERE id = ANY (left_over);

    WITH made AS (
        INSERT INTO catchment.quota (
            id, scope, scope_id, "window", keys, events, name_like, soft, hard, grace, plan, counted_from, holds)
        SELECT one.id, one.scope, one.scope_id, one."window", one.keys, one.events, one.name_like, one.soft, one.hard,
               one.grace, one.plan, present, false
        FROM jsonb_to_recordset(wanted) AS one (
            id uuid, scope text, scope_id uuid, "window" text, keys text, events text, name_like text, soft bigint,
            hard bigint, grace integer, plan text)
        ON CONFLICT (scope, scope_id, "window", keys, events) DO NOTHING
        RETURNING id
    )
    SELECT coalesce(array_agg(id), '{}') INTO made FROM made;
    -- An event that arrives now is in the present window, or, as far as clocks may differ, in one beside it.
    INSERT INTO catchment.quota_usage (quota_id, starts, events)
    SELECT DISTINCT quota.id, date_trunc(quota."window", present AT TIME ZONE 'UTC' + off)::date, 0
    FROM catchment.quota
    CROSS JOIN (VALUES (interval '0'), (catchment.clock_tolerance()), (-catchment.clock_tolerance())) AS clocks (off)
    WHERE quota.id = ANY (made);
    RETURN made;
END
$body$;

CREATE FUNCTION catchment.set_quotas(wanted jsonb, uncounted jsonb, removed uuid[]) RETURNS SETOF catchment.quota
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- Sets quotas, of which the new ones were begun before, and removes others; returns those that were set. A quota that was
-- there keeps its id and its usage.
--
-- wanted:    as catchment.begin_quotas() takes it
-- uncounted: an array of objects {quota_id, starts, events}: what the rows of new quotas lack
DECLARE
    changed uuid[];
BEGIN
    changed := ARRAY(
        SELECT quota.id FROM catchment.quota
        JOIN jsonb_to_recordset(wanted) AS one (scope text, scope_id uuid, "window" text, keys text, events text)
          ON one.scope = quota.scope AND one.scope_id = quota.scope_id AND one."window" = quota."window"
         AND one.keys IS NOT DISTINCT FROM quota.keys AND one.events = quota.events);
    -- Whoever stores holds these locks while it reads the limits.
    PERFORM FROM catchment.quota_usage WHERE quota_id = ANY (changed || removed) ORDER BY quota_id, starts FOR UPDATE;
    DELETE FROM catchment.quota_usage WHERE quota_id = ANY (removed);
    DELETE FROM catchment.quota WHERE id = ANY (removed);

    UPDATE catchment.quota_usage AS used SET events = used.events + one.events
    FROM jsonb_to_recordset(uncounted) AS one (quota_id uuid, starts date, events bigint)
    WHERE used.quota_id = one.quota_id AND used.starts = one.starts;
    UPDATE catchment.quota
    SET soft = one.soft, hard = one.hard, grace = one.grace, plan = one.plan, holds = true
    FROM jsonb_to_recordset(wanted) AS one (
        scope text, scope_id uuid, "window" text, keys text, events text, soft bigint, hard bigint, grace integer, plan text)
    WHERE one.scope = quota.scope AND one.scope_id = quota.scope_id AND one."window" = quota."window"
      AND one.keys IS NOT DISTINCT FROM quota.keys AND one.events = quota.events;
    UPDATE catchment.quota_usage AS used
    SET soft_crossed = CASE WHEN used.events >= quota.soft THEN coalesce(used.soft_crossed, catchment.clock()) END
    FROM catchment.quota WHERE quota.id = used.quota_id AND quota.id = ANY (changed);
    -- Only of windows that still run: the past enters nothing any more.
    PERFORM catchment.enter_states(array_agg(used.quota_id), array_agg(used.starts), catchment.clock())
    FROM catchment.quota_usage AS used JOIN catchment.quota ON quota.id = used.quota_id
    WHERE quota.id = ANY (changed)
      AND used.starts = date_trunc(quota."window", catchment.clock() AT TIME ZONE 'UTC')::date;
    RETURN QUERY SELECT * FROM catchment.quota WHERE id = ANY (changed);
END
$body$;

CREATE FUNCTION catchment.remove_quotas_of(the_scope text, the_scope_id uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- Removes all quotas of an account or a project.
BEGIN
    PERFORM catchment.set_quotas('[]', '[]', ARRAY(
        SELECT id FROM catchment.quota WHERE scope = the_scope AND scope_id = the_scope_id));
END
$body$;

CREATE FUNCTION catchment.claim_states(at_most integer) RETURNS SETOF catchment.quota_state
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
#variable_conflict use_column
-- Lends states to announce to a server: of each quota the first, at most so many. Nobody else gets them for a minute, or
-- longer if they were tried often. Before that it notes hard for the quotas whose grace is over: no event does so.
DECLARE
    present timestamptz := catchment.clock();
    ended   record;
BEGIN
    FOR ended IN
        SELECT used.quota_id, used.starts
        FROM catchment.quota JOIN catchment.quota_usage AS used ON used.quota_id = quota.id
        WHERE quota.grace > 0 AND quota.holds AND used.entered < 4 AND used.events >= quota.hard
          AND used.soft_crossed + quota.grace * interval '24 hours' <= present
          AND used.starts = date_trunc(quota."window", present AT TIME ZONE 'UTC')::date
        ORDER BY used.quota_id, used.starts
        FOR UPDATE OF used SKIP LOCKED
    LOOP
        PERFORM catchment.enter_states(ARRAY[ended.quota_id], ARRAY[ended.starts], present);
    END LOOP;
    RETURN QUERY
    UPDATE catchment.quota_state AS lent
    SET tries = lent.tries + 1, next_try = present + least(power(2, least(lent.tries, 10)), 60) * interval '1 minute'
    FROM (
        SELECT one.quota_id, one.starts, one.state FROM catchment.quota_state AS one
        WHERE one.announced_at IS NULL AND one.next_try <= present AND NOT EXISTS (
            SELECT FROM catchment.quota_state AS earlier
            WHERE earlier.announced_at IS NULL AND earlier.quota_id = one.quota_id AND earlier.n < one.n)
        ORDER BY one.n LIMIT at_most FOR UPDATE SKIP LOCKED
    ) AS due
    WHERE lent.quota_id = due.quota_id AND lent.starts = due.starts AND lent.state = due.state
    RETURNING lent.*;
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
