-- Accounts and projects can be renamed and deleted; keys have labels and tell when they were used; a demo's accounts are
-- marked. What is deleted leaves a row with its name, since its usage stays and is billed and audited as before.

ALTER TABLE catchment.account
    ADD COLUMN demo boolean NOT NULL DEFAULT false,
    ADD COLUMN deleted_at timestamptz,
    DROP CONSTRAINT account_name_key;
CREATE UNIQUE INDEX account_name ON catchment.account (name) WHERE deleted_at IS NULL;
COMMENT ON COLUMN catchment.account.demo IS 'made by the demo: never billed, and its usage is not kept when it is deleted';

ALTER TABLE catchment.project
    ADD COLUMN deleted_at timestamptz,
    DROP CONSTRAINT project_account_id_name_key;
CREATE UNIQUE INDEX project_name ON catchment.project (account_id, name) WHERE deleted_at IS NULL;
CREATE INDEX project_of_account ON catchment.project (account_id);

ALTER TABLE catchment.key ADD COLUMN label text;
COMMENT ON COLUMN catchment.key.label IS 'what people call it; null: nothing';

-- Apart from catchment.key, whose changes are announced to every server.
CREATE TABLE catchment.key_use (
    key_id   uuid PRIMARY KEY REFERENCES catchment.key ON DELETE CASCADE,
    used_at  timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE catchment.key_use IS 'about when a request last came with a key: servers write it once a minute';

CREATE TABLE catchment.deleted_count (
    project_id  uuid NOT NULL,
    period      date NOT NULL,
    events      bigint NOT NULL,
    PRIMARY KEY (project_id, period)
);
COMMENT ON TABLE catchment.deleted_count IS
    'stored events that were deleted later; usage still counts them, and the audit adds them to the stored rows';

CREATE OR REPLACE VIEW catchment.usage AS
SELECT account.id AS account_id, account.name AS account, project.id AS project_id, project.name AS project,
       usage_count.period, sum(usage_count.events)::bigint AS events, account.demo,
       project.deleted_at IS NOT NULL AS deleted
FROM catchment.usage_count
JOIN catchment.project ON project.id = usage_count.project_id
JOIN catchment.account ON account.id = project.account_id
GROUP BY account.id, account.name, project.id, project.name, usage_count.period;

CREATE FUNCTION catchment.delete_project(the_project uuid) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
-- Deletes a project, except for what it stored (catchment.delete_stored()) and its usage. False if there is none that is
-- disabled. Again: changes nothing.
BEGIN
    UPDATE catchment.project SET deleted_at = coalesce(deleted_at, now()) WHERE id = the_project AND NOT enabled;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM catchment.key WHERE project_id = the_project;
    DELETE FROM catchment.origin WHERE project_id = the_project;
    DELETE FROM catchment.quota WHERE scope = 'project' AND scope_id = the_project;
    DELETE FROM catchment.quota_usage WHERE scope = 'project' AND scope_id = the_project;
    RETURN true;
END
$body$;

CREATE FUNCTION catchment.delete_stored(the_project uuid, at_most integer, OUT events integer, OUT others integer)
LANGUAGE plpgsql SET enable_seqscan = off SET search_path = pg_catalog, pg_temp AS $body$
-- Deletes one bite of what a deleted project stored; how many events and how many other rows. Both are 0 when nothing is
-- left. Events are counted where the audit finds them.
DECLARE
    part  regclass;
    bite  integer;
BEGIN
    events := 0;
    others := 0;
    IF NOT EXISTS (SELECT FROM catchment.project WHERE id = the_project AND deleted_at IS NOT NULL) THEN
        RETURN;
    END IF;
    FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'catchment.event'::regclass ORDER BY inhrelid LOOP
        EXECUTE format(
            'WITH gone AS ('
            '    DELETE FROM %1$s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %1$s WHERE project_id = $1 LIMIT $2))'
            '    RETURNING received_at), '
            'counted AS ('
            '    INSERT INTO catchment.deleted_count AS known (project_id, period, events)'
            '    SELECT $1, date_trunc(''month'', received_at AT TIME ZONE ''UTC'')::date, count(*) FROM gone GROUP BY 2'
            '    ON CONFLICT (project_id, period) DO UPDATE SET events = known.events + excluded.events) '
            'SELECT count(*) FROM gone', part)
        INTO bite USING the_project, at_most - events;
        events := events + bite;
        EXIT WHEN events >= at_most;
    END LOOP;
    FOR part IN
        SELECT inhrelid FROM pg_inherits WHERE inhparent = 'catchment.event_id'::regclass
        UNION ALL VALUES ('catchment.loss_report'::regclass), ('catchment.loss'), ('catchment.loss_day'),
                         ('catchment.quarantine')
    LOOP
        EXIT WHEN events + others >= at_most;
        EXECUTE format(
            'DELETE FROM %1$s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %1$s WHERE project_id = $1 LIMIT $2))', part)
        USING the_project, at_most - events - others;
        GET DIAGNOSTICS bite = ROW_COUNT;
        others := others + bite;
    END LOOP;
END
$body$;

CREATE FUNCTION catchment.delete_account(the_account uuid) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
-- Deletes an account that has no project any more; how many it still has, else. Null if there is no account.
DECLARE
    left_over integer;
BEGIN
    PERFORM FROM catchment.account WHERE id = the_account FOR UPDATE;  -- nobody makes a project meanwhile
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT count(*) INTO left_over FROM catchment.project WHERE account_id = the_account AND deleted_at IS NULL;
    IF left_over = 0 THEN
        DELETE FROM catchment.quota WHERE scope = 'account' AND scope_id = the_account;
        DELETE FROM catchment.quota_usage WHERE scope = 'account' AND scope_id = the_account;
        UPDATE catchment.account SET deleted_at = coalesce(deleted_at, now()) WHERE id = the_account;
    END IF;
    RETURN left_over;
END
$body$;

CREATE FUNCTION catchment.forget_demo(the_account uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
-- Takes away the last of a demo's account that was deleted: its usage, which nobody is billed for, and its names.
BEGIN
    PERFORM FROM catchment.account WHERE id = the_account AND demo AND deleted_at IS NOT NULL FOR UPDATE;
    IF FOUND THEN
        DELETE FROM catchment.usage_count WHERE project_id IN (
            SELECT id FROM catchment.project WHERE account_id = the_account);
        DELETE FROM catchment.deleted_count WHERE project_id IN (
            SELECT id FROM catchment.project WHERE account_id = the_account);
        DELETE FROM catchment.project WHERE account_id = the_account;
        DELETE FROM catchment.account WHERE id = the_account;
    END IF;
END
$body$;

-- Servers keep an account's name with what a key opens.
CREATE OR REPLACE FUNCTION catchment.announce() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    changed jsonb := to_jsonb(coalesce(NEW, OLD));
BEGIN
    PERFORM pg_notify('catchment_changed', CASE TG_TABLE_NAME
        WHEN 'account' THEN 'account ' || (changed ->> 'id')
        WHEN 'project' THEN 'project ' || (changed ->> 'id')
        WHEN 'quota' THEN (changed ->> 'scope') || ' ' || (changed ->> 'scope_id')
        ELSE 'project ' || (changed ->> 'project_id') END);
    RETURN NULL;
END
$body$;
CREATE TRIGGER announce AFTER UPDATE ON catchment.account FOR EACH ROW EXECUTE FUNCTION catchment.announce();
