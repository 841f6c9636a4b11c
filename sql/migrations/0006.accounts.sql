-- Changes of accounts, projects and keys are announced; projects and accounts can be deleted.

CREATE FUNCTION catchment.announce() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
-- Servers keep what a key opens for up to a minute. A change is announced, and dropped there at once.
DECLARE
    changed jsonb := to_jsonb(coalesce(NEW, OLD));
BEGIN
    PERFORM pg_notify('catchment_changed', CASE TG_TABLE_NAME
        WHEN 'account' THEN 'account ' || (changed ->> 'id')
        WHEN 'project' THEN 'project ' || (changed ->> 'id')
        ELSE 'project ' || (changed ->> 'project_id') END);
    RETURN NULL;
END
$body$;

CREATE TRIGGER announce AFTER UPDATE ON catchment.account
FOR EACH ROW EXECUTE FUNCTION catchment.announce();
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON catchment.project
FOR EACH ROW EXECUTE FUNCTION catchment.announce();
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON catchment.origin
FOR EACH ROW EXECUTE FUNCTION catchment.announce();
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON catchment.key
FOR EACH ROW EXECUTE FUNCTION catchment.announce();
-- Whatever session_replication_role says: a revoked key is refused at once.
ALTER TABLE catchment.account ENABLE ALWAYS TRIGGER announce;
ALTER TABLE catchment.project ENABLE ALWAYS TRIGGER announce;
ALTER TABLE catchment.origin ENABLE ALWAYS TRIGGER announce;
ALTER TABLE catchment.key ENABLE ALWAYS TRIGGER announce;

CREATE FUNCTION catchment.delete_project(the_project uuid) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
-- Deletes a project, except for what it stored (catchment.delete_stored()) and its usage. Returns false if there is no
-- such project, or it is enabled. A second call changes nothing.
BEGIN
    UPDATE catchment.project SET deleted_at = coalesce(deleted_at, now()) WHERE id = the_project AND NOT enabled;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM catchment.key WHERE project_id = the_project;
    DELETE FROM catchment.origin WHERE project_id = the_project;
    PERFORM catchment.remove_quotas_of('project', the_project);
    RETURN true;
END
$body$;

CREATE FUNCTION catchment.delete_stored(the_project uuid, at_most integer, OUT events integer, OUT others integer)
LANGUAGE plpgsql SET enable_seqscan = off SET search_path = pg_catalog, pg_temp AS $body$
-- Deletes a part of what a deleted project stored; returns the numbers of events and of other rows. Both are 0 when
-- nothing is left. Deleted events are counted for the audit.
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
                         ('catchment.quarantine'), ('catchment.unstored_count'), ('catchment.refused_origin'),
                         ('catchment.inbox_sample')
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
-- Deletes an account without projects. Returns how many projects it has: 0 if it was deleted, null if there is no such
-- account.
DECLARE
    left_over integer;
BEGIN
    PERFORM FROM catchment.account WHERE id = the_account FOR UPDATE;  -- no project is added meanwhile
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT count(*) INTO left_over FROM catchment.project WHERE account_id = the_account AND deleted_at IS NULL;
    IF left_over = 0 THEN
        PERFORM catchment.remove_quotas_of('account', the_account);
        UPDATE catchment.account SET deleted_at = coalesce(deleted_at, now()) WHERE id = the_account;
    END IF;
    RETURN left_over;
END
$body$;

CREATE FUNCTION catchment.forget_demo(the_account uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
-- Deletes what is left of a deleted account of the demo: its usage, for which nobody is billed, and its names.
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

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA catchment FROM PUBLIC;
