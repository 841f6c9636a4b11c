-- The tables of an installation. Later migrations change them; this one is never edited after a release.

CREATE TABLE catchment.account (
    id          uuid PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE catchment.project (
    id                 uuid PRIMARY KEY,
    account_id         uuid NOT NULL REFERENCES catchment.account,
    name               text NOT NULL,
    bots               text NOT NULL CHECK (bots IN ('flag', 'filter')),
    do_not_track       text NOT NULL CHECK (do_not_track IN ('ignore', 'filter')),
    privacy            text NOT NULL CHECK (privacy IN ('mask', 'hash', 'drop', 'full')),
    allow_null_origin  boolean NOT NULL,
    enabled            boolean NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, name)
);

CREATE TABLE catchment.origin (
    project_id  uuid NOT NULL REFERENCES catchment.project,
    rule        text NOT NULL,
    PRIMARY KEY (project_id, rule)
);

CREATE TABLE catchment.key (
    id           uuid PRIMARY KEY,
    project_id   uuid NOT NULL REFERENCES catchment.project,
    kind         text NOT NULL CHECK (kind IN ('browser', 'server')),
    fingerprint  bytea NOT NULL UNIQUE,
    text         text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    revoked_at   timestamptz
);
CREATE INDEX key_of_project ON catchment.key (project_id);
COMMENT ON COLUMN catchment.key.fingerprint IS 'SHA-256 of the key';
COMMENT ON COLUMN catchment.key.text IS 'a browser key whole, of a server key the first characters';

CREATE TABLE catchment.quota (
    scope     text NOT NULL CHECK (scope IN ('account', 'project')),
    scope_id  uuid NOT NULL,
    "window"  text NOT NULL CHECK ("window" IN ('month', 'day')),
    hard      bigint NOT NULL CHECK (hard >= 0),
    PRIMARY KEY (scope, scope_id, "window")
);

-- Partitioned by arrival, never by the sender's clock: a period that is over does not change any more.
CREATE TABLE catchment.event (
    project_id       uuid NOT NULL,
    event_id         text NOT NULL,
    name             text NOT NULL,
    category         text,
    label            text,
    value            double precision,
    data             jsonb NOT NULL,
    session_id       text NOT NULL,
    user_id          text,
    url              text,
    page_title       text,
    page_path        text,
    referrer         text,
    referrer_host    text,
    user_agent       text,
    browser          text,
    browser_version  text,
    os               text,
    os_version       text,
    device           text,
    ip               text,
    country          text,
    region           text,
    city             text,
    utm_source       text,
    utm_medium       text,
    utm_campaign     text,
    utm_term         text,
    utm_content      text,
    is_bot           boolean NOT NULL,
    properties       jsonb NOT NULL,
    occurred_at      timestamptz NOT NULL,
    received_at      timestamptz NOT NULL
) PARTITION BY RANGE (received_at);
CREATE INDEX event_of_project ON catchment.event (project_id, received_at);
COMMENT ON COLUMN catchment.event.ip IS 'anonymised before it came here, as the project''s privacy setting says';

-- Catches what no month's partition takes, so that nothing is lost where maintenance did not run.
CREATE TABLE catchment.event_default PARTITION OF catchment.event DEFAULT;

-- A unique index on a partitioned table must contain the partition key, so that (project_id, event_id) can't be
-- unique on catchment.event: the ids that are known have a table of their own.
CREATE TABLE catchment.event_id (
    project_id   uuid NOT NULL,
    key_kind     text COLLATE "C" NOT NULL,
    event_id     text COLLATE "C" NOT NULL,
    received_at  timestamptz NOT NULL,
    PRIMARY KEY (project_id, key_kind, event_id)
) PARTITION BY HASH (event_id);
CREATE TABLE catchment.event_id_0 PARTITION OF catchment.event_id FOR VALUES WITH (MODULUS 4, REMAINDER 0);
CREATE TABLE catchment.event_id_1 PARTITION OF catchment.event_id FOR VALUES WITH (MODULUS 4, REMAINDER 1);
CREATE TABLE catchment.event_id_2 PARTITION OF catchment.event_id FOR VALUES WITH (MODULUS 4, REMAINDER 2);
CREATE TABLE catchment.event_id_3 PARTITION OF catchment.event_id FOR VALUES WITH (MODULUS 4, REMAINDER 3);
-- Not BRIN: the space of what was deleted is used again, so that every range of pages soon has old and new rows.
CREATE INDEX event_id_age ON catchment.event_id (received_at);
COMMENT ON TABLE catchment.event_id IS 'the ids of the last 32 days; what is here is a duplicate';

-- Usage is counted per writer (slot) and summed on reading: no writer waits for another's row.
CREATE TABLE catchment.usage_count (
    project_id  uuid NOT NULL,
    period      date NOT NULL,
    slot        smallint NOT NULL,
    events      bigint NOT NULL,
    PRIMARY KEY (project_id, period, slot)
) WITH (fillfactor = 50);

CREATE VIEW catchment.usage AS
SELECT account.id AS account_id, account.name AS account, project.id AS project_id, project.name AS project,
       usage_count.period, sum(usage_count.events)::bigint AS events
FROM catchment.usage_count
JOIN catchment.project ON project.id = usage_count.project_id
JOIN catchment.account ON account.id = project.account_id
GROUP BY account.id, account.name, project.id, project.name, usage_count.period;
COMMENT ON VIEW catchment.usage IS 'events stored, by account, project and billing period (a UTC month of received_at)';

CREATE TABLE catchment.closed_period (
    period     date PRIMARY KEY,
    closed_at  timestamptz NOT NULL DEFAULT now()
);

-- What is used of a hard quota's window. One row for all writers: a hard quota needs its lock.
CREATE TABLE catchment.quota_usage (
    scope     text NOT NULL,
    scope_id  uuid NOT NULL,
    "window"  text NOT NULL,
    starts    date NOT NULL,
    events    bigint NOT NULL,
    PRIMARY KEY (scope, scope_id, "window", starts)
) WITH (fillfactor = 50);

-- Events that passed every check and that the database could not hold all the same. Refused, never dropped in silence.
CREATE TABLE catchment.quarantine (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id   uuid NOT NULL,
    key_kind     text NOT NULL,
    name         text NOT NULL,
    fields       jsonb NOT NULL,
    received_at  timestamptz NOT NULL
);
COMMENT ON COLUMN catchment.quarantine.fields IS 'which fields were there and how long they were; never what was in them';

CREATE TABLE catchment.salt (
    day   date PRIMARY KEY,
    salt  bytea NOT NULL
);
COMMENT ON TABLE catchment.salt IS 'keys of the privacy mode hash: a new one every day in UTC, deleted after 48 hours';
