-- The time. All servers share one database, so its clock decides if theirs differ.

CREATE FUNCTION catchment.clock() RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- Returns the database's time.
BEGIN
    RETURN clock_timestamp();
END
$body$;

CREATE FUNCTION catchment.clock_tolerance() RETURNS interval
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $body$
-- Returns how much a server's clock may differ from the database's.
BEGIN
    RETURN interval '10 minutes';
END
$body$;

CREATE FUNCTION catchment.present(told timestamptz) RETURNS timestamptz
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- Returns the time that a server tells, if its clock is near the database's; else the database's time.
SELECT CASE WHEN told BETWEEN present - catchment.clock_tolerance() AND present + catchment.clock_tolerance()
            THEN told ELSE present END
FROM catchment.clock() AS present
$body$;

CREATE FUNCTION catchment.today(told date) RETURNS date
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- Returns the day (UTC) that a server tells, if its clock is near the database's; else the database's day.
SELECT CASE WHEN told BETWEEN ((present - catchment.clock_tolerance()) AT TIME ZONE 'UTC')::date
                          AND ((present + catchment.clock_tolerance()) AT TIME ZONE 'UTC')::date
            THEN told ELSE (present AT TIME ZONE 'UTC')::date END
FROM catchment.clock() AS present
$body$;

CREATE FUNCTION catchment.check_arrivals(earliest timestamptz, latest timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $body$
-- Raises CA001 if arrivals are far from the database's time: their ids would be forgotten too early or too late, and
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

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA catchment FROM PUBLIC;
