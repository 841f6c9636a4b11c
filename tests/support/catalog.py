"""The schema `catchment` as PostgreSQL's catalog describes it."""

from __future__ import annotations

from .database import Database

_PARTS = {
    "relations": (
        "SELECT relname, relkind, relpersistence, reloptions, relispartition, pg_get_expr(relpartbound, oid),"
        " pg_get_partkeydef(oid), relrowsecurity, CASE relkind WHEN 'v' THEN pg_get_viewdef(oid) END,"
        " pg_get_userbyid(relowner), relacl::text, obj_description(oid, 'pg_class')"
        " FROM pg_class WHERE relnamespace = 'catchment'::regnamespace AND relkind NOT IN ('i', 'I')"
    ),
    "columns": (
        "SELECT relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,"
        " attcollation::regcollation::text, pg_get_expr(adbin, adrelid), attacl::text,"
        " col_description(attrelid, attnum)"
        " FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
        " LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
        " WHERE relnamespace = 'catchment'::regnamespace AND relkind NOT IN ('i', 'I') AND attnum > 0"
        " AND NOT attisdropped"
    ),
    "constraints": (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)"
        " FROM pg_constraint WHERE connamespace = 'catchment'::regnamespace"
    ),
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'catchment'",
    "triggers": (
        "SELECT tgrelid::regclass::text, tgname, tgenabled, pg_get_triggerdef(pg_trigger.oid)"
        " FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
        " WHERE relnamespace = 'catchment'::regnamespace AND NOT tgisinternal"
    ),
    "functions": (
        "SELECT oid::regprocedure::text, pg_get_functiondef(oid), pg_get_userbyid(proowner), proacl::text"
        " FROM pg_proc WHERE pronamespace = 'catchment'::regnamespace"
    ),
    "schema": "SELECT pg_get_userbyid(nspowner), nspacl::text FROM pg_namespace WHERE nspname = 'catchment'",
}


def catalog(database: Database) -> dict[str, list[str]]:
    """Return what the catalog says of each kind of object, sorted, a line for each object."""
    return {part: sorted(map(str, database.execute(text))) for part, text in _PARTS.items()}
