-- What senders lost before it reached us, by their own reports; and the scripts whose versioned address was handed out.

CREATE TABLE catchment.loss (
    project_id  uuid NOT NULL,
    day         date NOT NULL,
    reason      text COLLATE "C" NOT NULL,
    events      bigint NOT NULL,
    PRIMARY KEY (project_id, day, reason)
) WITH (fillfactor = 50);
COMMENT ON TABLE catchment.loss IS 'events that senders had to drop, as they say: by project, day of the report (UTC), reason';

-- One row for all writers of a project's day: it bounds what a public key can fill, and is the lock of its counts.
CREATE TABLE catchment.loss_day (
    project_id  uuid NOT NULL,
    day         date NOT NULL,
    reports     bigint NOT NULL,
    PRIMARY KEY (project_id, day)
) WITH (fillfactor = 50);

CREATE TABLE catchment.loss_report (
    project_id   uuid NOT NULL,
    key_kind     text COLLATE "C" NOT NULL,
    report_id    text COLLATE "C" NOT NULL,
    received_at  timestamptz NOT NULL,
    PRIMARY KEY (project_id, key_kind, report_id)
);
CREATE INDEX loss_report_age ON catchment.loss_report (received_at);
COMMENT ON TABLE catchment.loss_report IS 'the reports of the last 32 days; what is here was counted';

CREATE FUNCTION catchment.record_losses_v1(
    the_project uuid, the_kind text, the_report text, arrival timestamptz, counts jsonb,
    known text[], most_words integer, most_reports integer
) RETURNS text
LANGUAGE plpgsql VOLATILE AS $body$
-- counts:  an object, events by reason
-- known:   reasons that are never counted as another
-- returns: now, before (this id was counted already), or full (the day has as many reports as it may)
DECLARE
    the_day date := (arrival AT TIME ZONE 'UTC')::date;
    lost    record;
BEGIN
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

CREATE FUNCTION catchment.forget_loss_reports(older_than timestamptz, at_most integer) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $body$
-- Deletes ids of reports that are older, in one bite of at most so many, as catchment.forget_ids(); returns how many.
DECLARE
    deleted integer;
BEGIN
    DELETE FROM catchment.loss_report WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM catchment.loss_report WHERE received_at < older_than ORDER BY received_at LIMIT at_most));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$body$;

-- What stands on a page with its integrity must be served as long as the page is there: nothing here is deleted.
CREATE TABLE catchment.script (
    name      text COLLATE "C" NOT NULL,
    version   text COLLATE "C" NOT NULL,
    content   bytea NOT NULL,
    kept_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, version)
);
COMMENT ON COLUMN catchment.script.version IS 'the first 16 hexadecimal digits of the content''s SHA-256';
