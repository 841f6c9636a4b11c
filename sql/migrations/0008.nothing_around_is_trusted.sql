-- No function looks at what other roles have made, and nobody may do anything here who was not granted it.
--
-- Every function names its search_path: other roles' functions, operators and tables of the same names are not seen,
-- and temporary tables come last. A later migration that makes a function does the same (a test demands it).

ALTER FUNCTION catchment.await_standby() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION catchment.misplaced_months() SET search_path = pg_catalog, pg_temp SET jit = off;

-- Partitions belong to the role that owns catchment.event, whoever lets them be made: a server needs no such right.
ALTER FUNCTION catchment.keep_partitions(date, integer)
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET "TimeZone" = 'UTC' SET "DateStyle" = 'ISO, YMD';
ALTER FUNCTION catchment.place_month(date)
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET "TimeZone" = 'UTC' SET "DateStyle" = 'ISO, YMD';

-- Changes are announced whatever session_replication_role says, so that a revoked key is refused at once.
ALTER TABLE catchment.account ENABLE ALWAYS TRIGGER announce;
ALTER TABLE catchment.project ENABLE ALWAYS TRIGGER announce;
ALTER TABLE catchment.origin ENABLE ALWAYS TRIGGER announce;
ALTER TABLE catchment.key ENABLE ALWAYS TRIGGER announce;
ALTER TABLE catchment.quota ENABLE ALWAYS TRIGGER announce;

REVOKE ALL ON SCHEMA catchment FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA catchment FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA catchment FROM PUBLIC;
