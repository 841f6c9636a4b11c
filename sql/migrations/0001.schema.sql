-- The tables, and what each column means. `catchment` is the only schema; the functions are in the files after this one.
--
-- Texts whose order must be the same on every machine have the collation "C".

-- Accounts and projects

CREATE TABLE catchment.account (
    id          uuid PRIMARY KEY,
    name        text NOT NULL,
    plan        text,
    demo        boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT now(),
    deleted_at  timestamptz
);
CREATE UNIQUE INDEX account_name ON catchment.account (name) WHERE deleted_at IS NULL;
COMMENT ON TABLE catchment.account IS 'who is billed; the row of a deleted account stays, for its usage';
COMMENT ON COLUMN catchment.account.id IS 'a UUID, version 7';
COMMENT ON COLUMN catchment.account.name IS 'unique among the accounts that are not deleted';
COMMENT ON COLUMN catchment.account.plan IS 'the plan of the settings whose quotas it was given; null: none';
COMMENT ON COLUMN catchment.account.demo IS 'made by the demo: never billed; its usage is deleted with it';
COMMENT ON COLUMN catchment.account.created_at IS 'when it was added';
COMMENT ON COLUMN catchment.account.deleted_at IS 'when it was deleted; null: it is not';

CREATE TABLE catchment.project (
    id                 uuid PRIMARY KEY,
    account_id         uuid NOT NULL REFERENCES catchment.account,
    name               text NOT NULL,
    bots               text NOT NULL CHECK (bots IN ('flag', 'filter')),
    do_not_track       text NOT NULL CHECK (do_not_track IN ('ignore', 'filter')),
    privacy            text NOT NULL CHECK (privacy IN ('mask', 'hash', 'drop', 'full')),
    visitors           text NOT NULL CHECK (visitors IN ('daily', 'none')),
    allow_null_origin  boolean NOT NULL,
    enabled            boolean NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now(),
    deleted_at         timestamptz
);
CREATE UNIQUE INDEX project_name ON catchment.project (account_id, name) WHERE deleted_at IS NULL;
CREATE INDEX project_of_account ON catchment.project (account_id);
COMMENT ON TABLE catchment.project IS 'what events belong to; the row of a deleted project stays, for its usage';
COMMENT ON COLUMN catchment.project.id IS 'a UUID, version 7';
COMMENT ON COLUMN catchment.project.account_id IS 'the account that is billed for its events';
COMMENT ON COLUMN catchment.project.name IS 'unique among the projects of the account that are not deleted';
COMMENT ON COLUMN catchment.project.bots IS 'events of bots: flag stores them with is_bot, filter drops them';
COMMENT ON COLUMN catchment.project.do_not_track IS
    'events of visitors who ask not to be tracked: ignore stores them, filter drops them';
COMMENT ON COLUMN catchment.project.privacy IS
    'how addresses are anonymized before they are stored: mask, hash, drop, or full (as they are)';
COMMENT ON COLUMN catchment.project.visitors IS
    'whether events say which visitor of the day they are of: daily, or none';
COMMENT ON COLUMN catchment.project.allow_null_origin IS
    'whether pages without an origin of their own may send (files, sandboxed frames)';
COMMENT ON COLUMN catchment.project.enabled IS
    'a project that is not enabled takes no events; only such a one can be deleted';
COMMENT ON COLUMN catchment.project.created_at IS 'when it was added';
COMMENT ON COLUMN catchment.project.deleted_at IS 'when it was deleted; null: it is not';

CREATE TABLE catchment.origin (
    project_id  uuid NOT NULL REFERENCES catchment.project,
    rule        text NOT NULL,
    PRIMARY KEY (project_id, rule)
);
COMMENT ON TABLE catchment.origin IS 'the websites that may send with a project''s browser keys';
COMMENT ON COLUMN catchment.origin.project_id IS 'the project';
COMMENT ON COLUMN catchment.origin.rule IS
    'an origin, such as https://shop.example, or a pattern such as https://*.shop.example';

CREATE TABLE catchment.key (
    id           uuid PRIMARY KEY,
    project_id   uuid NOT NULL REFERENCES catchment.project,
    kind         text NOT NULL CHECK (kind IN ('browser', 'server')),
    fingerprint  bytea NOT NULL UNIQUE,
    text         text NOT NULL,
    label        text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    revoked_at   timestamptz
);
CREATE INDEX key_of_project ON catchment.key (project_id);
COMMENT ON TABLE catchment.key IS 'the keys that open a project to senders';
COMMENT ON COLUMN catchment.key.id IS 'a UUID, version 7';
COMMENT ON COLUMN catchment.key.project_id IS 'the project that the key opens';
COMMENT ON COLUMN catchment.key.kind IS 'browser: public, bound to origins; server: secret';
COMMENT ON COLUMN catchment.key.fingerprint IS 'the SHA-256 of the key: a secret key is stored nowhere';
COMMENT ON COLUMN catchment.key.text IS 'a browser key as it is; of a server key only the first characters';
COMMENT ON COLUMN catchment.key.label IS 'what people call it; null: nothing';
COMMENT ON COLUMN catchment.key.created_at IS 'when it was added';
COMMENT ON COLUMN catchment.key.revoked_at IS 'when it was revoked; null: it is valid';

CREATE TABLE catchment.key_use (
    key_id   uuid PRIMARY KEY REFERENCES catchment.key ON DELETE CASCADE,
    used_at  timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE catchment.key_use IS
    'when keys were used; apart from catchment.key, whose changes are announced to every server';
COMMENT ON COLUMN catchment.key_use.key_id IS 'the key';
COMMENT ON COLUMN catchment.key_use.used_at IS 'about when a request last came with it: servers write it once a minute';

-- Events

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
    visitor          bytea,
    utm_source       text,
    utm_medium       text,
    utm_campaign     text,
    utm_term         text,
    utm_content      text,
    language         text,
    is_bot           boolean NOT NULL,
    properties       jsonb NOT NULL,
    occurred_at      timestamptz NOT NULL,
    received_at      timestamptz NOT NULL
) PARTITION BY RANGE (received_at);
CREATE INDEX event_of_project ON catchment.event (project_id, received_at);
COMMENT ON TABLE catchment.event IS
    'the events, a partition for each UTC month of received_at: a month that is over does not change, whatever clock a sender has';
COMMENT ON COLUMN catchment.event.project_id IS 'the project whose key the event came with';
COMMENT ON COLUMN catchment.event.event_id IS
    'the sender''s id of the event, by which repetitions are known for 32 days; made here if the sender has none';
COMMENT ON COLUMN catchment.event.name IS 'what happened';
COMMENT ON COLUMN catchment.event.category IS 'of event_data';
COMMENT ON COLUMN catchment.event.label IS 'of event_data';
COMMENT ON COLUMN catchment.event.value IS 'of event_data; a number';
COMMENT ON COLUMN catchment.event.data IS 'the rest of event_data, as it was sent';
COMMENT ON COLUMN catchment.event.session_id IS 'the sender''s id of the session; made here if the sender has none';
COMMENT ON COLUMN catchment.event.user_id IS 'the sender''s id of its user';
COMMENT ON COLUMN catchment.event.url IS 'the address of the page';
COMMENT ON COLUMN catchment.event.page_title IS 'the title of the page';
COMMENT ON COLUMN catchment.event.page_path IS 'the path of the page; from the url if the sender does not say it';
COMMENT ON COLUMN catchment.event.referrer IS 'the address of the page before';
COMMENT ON COLUMN catchment.event.referrer_host IS 'the host of the referrer';
COMMENT ON COLUMN catchment.event.user_agent IS 'the user agent string';
COMMENT ON COLUMN catchment.event.browser IS 'of the user agent: the browser''s name';
COMMENT ON COLUMN catchment.event.browser_version IS 'of the user agent: the browser''s version';
COMMENT ON COLUMN catchment.event.os IS 'of the user agent: the operating system''s name';
COMMENT ON COLUMN catchment.event.os_version IS 'of the user agent: the operating system''s version';
COMMENT ON COLUMN catchment.event.device IS 'of the user agent: desktop, mobile, tablet, or a more exact kind';
COMMENT ON COLUMN catchment.event.ip IS
    'the visitor''s address, anonymized by the project''s privacy setting before it came here';
COMMENT ON COLUMN catchment.event.country IS 'of the address: ISO 3166-1 alpha-2, such as DE';
COMMENT ON COLUMN catchment.event.region IS 'of the address';
COMMENT ON COLUMN catchment.event.city IS 'of the address';
COMMENT ON COLUMN catchment.event.visitor IS
    'the visitor of the day: a keyed hash of project, address and user agent; its salt is deleted after 48 hours';
COMMENT ON COLUMN catchment.event.utm_source IS 'of the url: utm_source';
COMMENT ON COLUMN catchment.event.utm_medium IS 'of the url: utm_medium';
COMMENT ON COLUMN catchment.event.utm_campaign IS 'of the url: utm_campaign';
COMMENT ON COLUMN catchment.event.utm_term IS 'of the url: utm_term';
COMMENT ON COLUMN catchment.event.utm_content IS 'of the url: utm_content';
COMMENT ON COLUMN catchment.event.language IS
    'the visitor''s language, such as de-CH; with a browser key from Accept-Language if the sender does not say it';
COMMENT ON COLUMN catchment.event.is_bot IS 'whether the sender seems to be a program rather than a person';
COMMENT ON COLUMN catchment.event.properties IS 'what plugins added';
COMMENT ON COLUMN catchment.event.occurred_at IS
    'when it happened, by the sender''s clock; the arrival if the sender does not say it';
COMMENT ON COLUMN catchment.event.received_at IS 'when it arrived, by the server''s clock; usage and partitions go by it';

-- Nothing is lost if maintenance did not make a month's partition.
CREATE TABLE catchment.event_default PARTITION OF catchment.event DEFAULT;
COMMENT ON TABLE catchment.event_default IS 'events whose month has no partition; `catchment maintain` moves them';

-- A unique index on a partitioned table must contain the partition key. (project_id, event_id) can't be unique on
-- catchment.event, so the known ids have a table of their own.
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
-- Not BRIN: the space of deleted rows is used again, so that every range of pages soon has old and new rows.
CREATE INDEX event_id_age ON catchment.event_id (received_at);
COMMENT ON TABLE catchment.event_id IS 'the ids of the last 32 days: an event whose id is here is a duplicate';
COMMENT ON COLUMN catchment.event_id.project_id IS 'the project of the event';
COMMENT ON COLUMN catchment.event_id.key_kind IS
    'the kind of key that vouches for the id: nobody with a public key can take an id of a server';
COMMENT ON COLUMN catchment.event_id.event_id IS 'the event''s id';
COMMENT ON COLUMN catchment.event_id.received_at IS 'when the event arrived';

CREATE TABLE catchment.quarantine (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id   uuid NOT NULL,
    key_kind     text NOT NULL,
    name         text NOT NULL,
    fields       jsonb NOT NULL,
    received_at  timestamptz NOT NULL
);
COMMENT ON TABLE catchment.quarantine IS
    'events that passed every check, but that the database could not hold: they were refused, and are not in catchment.event';
COMMENT ON COLUMN catchment.quarantine.id IS 'in order of insertion';
COMMENT ON COLUMN catchment.quarantine.project_id IS 'the project of the event';
COMMENT ON COLUMN catchment.quarantine.key_kind IS 'the kind of key that it came with';
COMMENT ON COLUMN catchment.quarantine.name IS 'the event''s name, at most 120 characters, in ASCII';
COMMENT ON COLUMN catchment.quarantine.fields IS 'which fields it had and how long they were, never what was in them';
COMMENT ON COLUMN catchment.quarantine.received_at IS 'when it arrived';

CREATE TABLE catchment.salt (
    day   date PRIMARY KEY,
    salt  bytea NOT NULL
);
COMMENT ON TABLE catchment.salt IS
    'secrets of hashed addresses and of visitors: a new one every day, deleted 48 hours after the day began';
COMMENT ON COLUMN catchment.salt.day IS 'the day in UTC';
COMMENT ON COLUMN catchment.salt.salt IS 'random bytes';

-- Quotas and usage

CREATE TABLE catchment.quota (
    id            uuid PRIMARY KEY,
    scope         text NOT NULL CHECK (scope IN ('account', 'project')),
    scope_id      uuid NOT NULL,
    "window"      text NOT NULL CHECK ("window" IN ('month', 'day')),
    keys          text CHECK (keys IN ('browser', 'server')),
    events        text COLLATE "C" NOT NULL,
    name_like     text COLLATE "C" NOT NULL,
    soft          bigint CHECK (soft >= 1),
    hard          bigint CHECK (hard >= 0),
    grace         integer NOT NULL CHECK (grace BETWEEN 0 AND 27),
    plan          text,
    counted_from  timestamptz NOT NULL,
    holds         boolean NOT NULL,
    CONSTRAINT quota_of_a_scope UNIQUE NULLS NOT DISTINCT (scope, scope_id, "window", keys, events),
    CONSTRAINT quota_has_a_limit CHECK (soft IS NOT NULL OR hard IS NOT NULL)
);
CREATE INDEX quota_grace ON catchment.quota (id) WHERE grace > 0;
COMMENT ON TABLE catchment.quota IS 'how many events an account or a project may store in a window of time';
COMMENT ON COLUMN catchment.quota.id IS 'a UUID, version 7';
COMMENT ON COLUMN catchment.quota.scope IS 'what it counts the events of: account or project';
COMMENT ON COLUMN catchment.quota.scope_id IS 'the id of that account or project';
COMMENT ON COLUMN catchment.quota."window" IS 'month or day, in UTC';
COMMENT ON COLUMN catchment.quota.keys IS 'the kind of key whose events it counts; null: both kinds';
COMMENT ON COLUMN catchment.quota.events IS 'the pattern of the names that it counts, such as Click*; *: all';
COMMENT ON COLUMN catchment.quota.name_like IS 'the same pattern, as LIKE takes it';
COMMENT ON COLUMN catchment.quota.soft IS 'from so many events on its owner is told; null: never';
COMMENT ON COLUMN catchment.quota.hard IS 'at most so many events; those beyond are refused; null: none is';
COMMENT ON COLUMN catchment.quota.grace IS 'the days after soft was crossed during which hard does not hold';
COMMENT ON COLUMN catchment.quota.plan IS 'the plan that it came with; null: a person set it';
COMMENT ON COLUMN catchment.quota.counted_from IS 'when every commit began to count for it';
COMMENT ON COLUMN catchment.quota.holds IS 'false while the events that came before counted_from are still counted';

CREATE TABLE catchment.quota_usage (
    quota_id      uuid NOT NULL,
    starts        date NOT NULL,
    events        bigint NOT NULL,
    soft_crossed  timestamptz,
    entered       smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (quota_id, starts)
) WITH (fillfactor = 50);
COMMENT ON TABLE catchment.quota_usage IS
    'what is used of a quota''s window: one row for all writers, since an exact quota needs a lock';
COMMENT ON COLUMN catchment.quota_usage.quota_id IS 'the quota';
COMMENT ON COLUMN catchment.quota_usage.starts IS 'the first day of the window';
COMMENT ON COLUMN catchment.quota_usage.events IS 'events that were stored in the window';
COMMENT ON COLUMN catchment.quota_usage.soft_crossed IS
    'the arrival of the event that crossed soft, from which the grace runs; null: less is used';
COMMENT ON COLUMN catchment.quota_usage.entered IS
    'the highest state that the window was in: 0 ok, 1 warning, 2 soft, 3 grace, 4 hard';

CREATE TABLE catchment.quota_state (
    quota_id         uuid NOT NULL,
    starts           date NOT NULL,
    state            text NOT NULL CHECK (state IN ('warning', 'soft', 'grace', 'hard')),
    n                bigint GENERATED ALWAYS AS IDENTITY,
    quota            jsonb NOT NULL,
    used             bigint NOT NULL,
    entered_at       timestamptz NOT NULL,
    tries            integer NOT NULL DEFAULT 0,
    next_try         timestamptz NOT NULL DEFAULT '-infinity',
    announced_at     timestamptz,
    PRIMARY KEY (quota_id, starts, state)
);
CREATE INDEX quota_state_to_announce ON catchment.quota_state (n) WHERE announced_at IS NULL;
CREATE INDEX quota_state_age ON catchment.quota_state (entered_at);
COMMENT ON TABLE catchment.quota_state IS
    'the states that quotas entered, each once a window; servers announce them to plugins';
COMMENT ON COLUMN catchment.quota_state.quota_id IS 'the quota';
COMMENT ON COLUMN catchment.quota_state.starts IS 'the first day of the window';
COMMENT ON COLUMN catchment.quota_state.state IS 'warning, soft, grace or hard';
COMMENT ON COLUMN catchment.quota_state.n IS 'in order of entering';
COMMENT ON COLUMN catchment.quota_state.quota IS 'the row of catchment.quota at that time';
COMMENT ON COLUMN catchment.quota_state.used IS 'the events used at that time';
COMMENT ON COLUMN catchment.quota_state.entered_at IS 'the arrival of the event that led to it, or the time of the change';
COMMENT ON COLUMN catchment.quota_state.tries IS 'how often it was tried to announce it';
COMMENT ON COLUMN catchment.quota_state.next_try IS 'when it is tried next, unless it is announced by then';
COMMENT ON COLUMN catchment.quota_state.announced_at IS 'when every plugin had taken it; null: not yet';

CREATE TABLE catchment.usage_count (
    project_id  uuid NOT NULL,
    hour        timestamptz NOT NULL,
    slot        smallint NOT NULL,
    events      bigint NOT NULL,
    PRIMARY KEY (project_id, hour, slot)
) WITH (fillfactor = 50);
CREATE INDEX usage_count_hour ON catchment.usage_count (hour);
COMMENT ON TABLE catchment.usage_count IS
    'events that were stored, by writer: no writer waits for another one''s row; catchment.usage adds them up';
COMMENT ON COLUMN catchment.usage_count.project_id IS 'the project';
COMMENT ON COLUMN catchment.usage_count.hour IS 'the beginning of the hour of received_at';
COMMENT ON COLUMN catchment.usage_count.slot IS 'the writer, 0 to 15; -1: of all writers, when the hour is over';
COMMENT ON COLUMN catchment.usage_count.events IS 'the number of events';

CREATE TABLE catchment.deleted_count (
    project_id  uuid NOT NULL,
    period      date NOT NULL,
    events      bigint NOT NULL,
    PRIMARY KEY (project_id, period)
);
COMMENT ON TABLE catchment.deleted_count IS
    'stored events that were deleted with their project: usage still counts them, and the audit adds them to the stored rows';
COMMENT ON COLUMN catchment.deleted_count.project_id IS 'the project';
COMMENT ON COLUMN catchment.deleted_count.period IS 'the first day of a UTC month of received_at';
COMMENT ON COLUMN catchment.deleted_count.events IS 'the number of events';

CREATE TABLE catchment.closed_period (
    period     date PRIMARY KEY,
    closed_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE catchment.closed_period IS 'the months whose usage is final';
COMMENT ON COLUMN catchment.closed_period.period IS 'the first day of the month';
COMMENT ON COLUMN catchment.closed_period.closed_at IS 'when it was closed';

CREATE VIEW catchment.usage AS
SELECT account.id AS account_id, account.name AS account, project.id AS project_id, project.name AS project,
       date_trunc('month', usage_count.hour AT TIME ZONE 'UTC')::date AS period,
       sum(usage_count.events)::bigint AS events, account.demo,
       project.deleted_at IS NOT NULL AS deleted
FROM catchment.usage_count
JOIN catchment.project ON project.id = usage_count.project_id
JOIN catchment.account ON account.id = project.account_id
GROUP BY account.id, account.name, project.id, project.name, date_trunc('month', usage_count.hour AT TIME ZONE 'UTC');
COMMENT ON VIEW catchment.usage IS 'events stored, by account, project and billing period';
COMMENT ON COLUMN catchment.usage.account_id IS 'the account''s id';
COMMENT ON COLUMN catchment.usage.account IS 'the account''s name';
COMMENT ON COLUMN catchment.usage.project_id IS 'the project''s id';
COMMENT ON COLUMN catchment.usage.project IS 'the project''s name';
COMMENT ON COLUMN catchment.usage.period IS 'the first day of a UTC month of received_at';
COMMENT ON COLUMN catchment.usage.events IS 'the number of events';
COMMENT ON COLUMN catchment.usage.demo IS 'whether the account is a demo, which is not billed';
COMMENT ON COLUMN catchment.usage.deleted IS 'whether the project was deleted';

-- Outcomes

CREATE TABLE catchment.unstored_count (
    project_id  uuid NOT NULL,
    hour        timestamptz NOT NULL,
    outcome     text COLLATE "C" NOT NULL CHECK (outcome IN ('duplicate', 'filtered', 'refused', 'lost')),
    reason      text COLLATE "C" NOT NULL,
    events      bigint NOT NULL,
    PRIMARY KEY (project_id, hour, outcome, reason)
) WITH (fillfactor = 50);
CREATE INDEX unstored_count_hour ON catchment.unstored_count (hour);
COMMENT ON TABLE catchment.unstored_count IS
    'events that were answered and not stored; servers add them up and write them every few seconds';
COMMENT ON COLUMN catchment.unstored_count.project_id IS 'the project of the key';
COMMENT ON COLUMN catchment.unstored_count.hour IS 'the beginning of the hour of the arrival';
COMMENT ON COLUMN catchment.unstored_count.outcome IS 'duplicate, filtered, refused, or lost: dropped by the sender, as it reports';
COMMENT ON COLUMN catchment.unstored_count.reason IS 'the reason, such as origin_not_allowed; empty: a duplicate has none';
COMMENT ON COLUMN catchment.unstored_count.events IS 'the number of events';

CREATE TABLE catchment.refused_origin (
    project_id  uuid PRIMARY KEY,
    origin      text NOT NULL,
    refused_at  timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE catchment.refused_origin IS 'the last origin that a project refused, which mostly answers why nothing arrives';
COMMENT ON COLUMN catchment.refused_origin.project_id IS 'the project';
COMMENT ON COLUMN catchment.refused_origin.origin IS 'the origin of the header or of the event''s url, cut';
COMMENT ON COLUMN catchment.refused_origin.refused_at IS 'when it was refused';

CREATE VIEW catchment.outcome_count AS
SELECT project_id, hour, 'stored' AS outcome, NULL::text AS reason, sum(events)::bigint AS events
FROM catchment.usage_count GROUP BY project_id, hour
UNION ALL
SELECT project_id, hour, outcome, nullif(reason, ''), events FROM catchment.unstored_count;
COMMENT ON VIEW catchment.outcome_count IS 'every event that was answered with a project known, by hour';
COMMENT ON COLUMN catchment.outcome_count.project_id IS 'the project';
COMMENT ON COLUMN catchment.outcome_count.hour IS 'the beginning of the hour of the arrival';
COMMENT ON COLUMN catchment.outcome_count.outcome IS 'stored (equal to usage), duplicate, filtered, refused, or lost';
COMMENT ON COLUMN catchment.outcome_count.reason IS 'the reason; null: there is none';
COMMENT ON COLUMN catchment.outcome_count.events IS 'the number of events';

CREATE TABLE catchment.inbox_sample (
    id               text COLLATE "C" PRIMARY KEY,
    project_id       uuid NOT NULL,
    reason           text COLLATE "C" NOT NULL,
    outcome          text COLLATE "C" NOT NULL CHECK (outcome IN ('filtered', 'refused')),
    hint             jsonb NOT NULL,
    payload          json NOT NULL CHECK (octet_length(payload::text) <= 8192),
    taken            jsonb NOT NULL,
    replay           text COLLATE "C" NOT NULL,
    obstacle         text COLLATE "C",
    event_id         text COLLATE "C",
    key_kind         text COLLATE "C" NOT NULL,
    key_fingerprint  bytea NOT NULL,
    origin           text,
    headers          jsonb NOT NULL,
    do_not_track     boolean NOT NULL,
    clock_offset     interval NOT NULL,
    sender           integer NOT NULL,
    received_at      timestamptz NOT NULL,
    replayed_at      timestamptz
);
CREATE INDEX inbox_sample_project ON catchment.inbox_sample (project_id, reason);
CREATE INDEX inbox_sample_age ON catchment.inbox_sample (received_at);
COMMENT ON TABLE catchment.inbox_sample IS
    'samples of refused and filtered events without personal data: 20 for a project and reason, for 7 days';
COMMENT ON COLUMN catchment.inbox_sample.id IS 'eight letters and digits that people can type';
COMMENT ON COLUMN catchment.inbox_sample.project_id IS 'the project of the key';
COMMENT ON COLUMN catchment.inbox_sample.reason IS 'the reason, such as origin_not_allowed';
COMMENT ON COLUMN catchment.inbox_sample.outcome IS 'filtered or refused';
COMMENT ON COLUMN catchment.inbox_sample.hint IS 'what to do, as data';
COMMENT ON COLUMN catchment.inbox_sample.payload IS
    'the event as it came, cut, with placeholders such as [email]; a JSON null: it could not be read';
COMMENT ON COLUMN catchment.inbox_sample.taken IS 'the kinds of data that were taken out, by field';
COMMENT ON COLUMN catchment.inbox_sample.replay IS 'whether it can be sent again: whole, reduced or no';
COMMENT ON COLUMN catchment.inbox_sample.obstacle IS 'why it can''t be sent again';
COMMENT ON COLUMN catchment.inbox_sample.event_id IS 'the id to send it again with';
COMMENT ON COLUMN catchment.inbox_sample.key_kind IS 'the kind of key that it came with';
COMMENT ON COLUMN catchment.inbox_sample.key_fingerprint IS 'the SHA-256 of the key that it came with';
COMMENT ON COLUMN catchment.inbox_sample.origin IS 'the Origin header, with a browser key';
COMMENT ON COLUMN catchment.inbox_sample.headers IS 'user agent and language of the request, with a browser key';
COMMENT ON COLUMN catchment.inbox_sample.do_not_track IS 'whether the visitor asked not to be tracked';
COMMENT ON COLUMN catchment.inbox_sample.clock_offset IS 'how much the sender''s clock was behind';
COMMENT ON COLUMN catchment.inbox_sample.sender IS
    'a number of the sender''s network, made with a random key that only the server''s process had';
COMMENT ON COLUMN catchment.inbox_sample.received_at IS 'when it arrived';
COMMENT ON COLUMN catchment.inbox_sample.replayed_at IS 'when it was last sent again, and was stored by then';

-- Losses

CREATE TABLE catchment.loss (
    project_id  uuid NOT NULL,
    day         date NOT NULL,
    reason      text COLLATE "C" NOT NULL,
    events      bigint NOT NULL,
    PRIMARY KEY (project_id, day, reason)
) WITH (fillfactor = 50);
COMMENT ON TABLE catchment.loss IS 'events that senders had to drop before they reached us, as the senders report them';
COMMENT ON COLUMN catchment.loss.project_id IS 'the project';
COMMENT ON COLUMN catchment.loss.day IS 'the day of the report, in UTC';
COMMENT ON COLUMN catchment.loss.reason IS 'the sender''s reason; other, if it gave more reasons than are kept';
COMMENT ON COLUMN catchment.loss.events IS 'the number of events';

CREATE TABLE catchment.loss_day (
    project_id  uuid NOT NULL,
    day         date NOT NULL,
    reports     bigint NOT NULL,
    PRIMARY KEY (project_id, day)
) WITH (fillfactor = 50);
COMMENT ON TABLE catchment.loss_day IS
    'one row for all writers of a project''s day: the lock of its counts, and a bound to what a public key can fill';
COMMENT ON COLUMN catchment.loss_day.project_id IS 'the project';
COMMENT ON COLUMN catchment.loss_day.day IS 'the day of the reports, in UTC';
COMMENT ON COLUMN catchment.loss_day.reports IS 'the number of reports that were counted';

CREATE TABLE catchment.loss_report (
    project_id   uuid NOT NULL,
    key_kind     text COLLATE "C" NOT NULL,
    report_id    text COLLATE "C" NOT NULL,
    received_at  timestamptz NOT NULL,
    PRIMARY KEY (project_id, key_kind, report_id)
);
CREATE INDEX loss_report_age ON catchment.loss_report (received_at);
COMMENT ON TABLE catchment.loss_report IS 'the reports of the last 32 days: a report whose id is here was counted';
COMMENT ON COLUMN catchment.loss_report.project_id IS 'the project';
COMMENT ON COLUMN catchment.loss_report.key_kind IS 'the kind of key that it came with';
COMMENT ON COLUMN catchment.loss_report.report_id IS 'the sender''s id of the report';
COMMENT ON COLUMN catchment.loss_report.received_at IS 'when it arrived';

-- Scripts

CREATE TABLE catchment.script (
    name      text COLLATE "C" NOT NULL,
    version   text COLLATE "C" NOT NULL,
    content   bytea NOT NULL,
    kept_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, version)
);
COMMENT ON TABLE catchment.script IS
    'the tracker''s scripts by version; nothing is deleted: a page names a version for as long as it is there';
COMMENT ON COLUMN catchment.script.name IS 'the file''s name, such as track.js';
COMMENT ON COLUMN catchment.script.version IS 'the first 16 hexadecimal digits of the content''s SHA-256';
COMMENT ON COLUMN catchment.script.content IS 'what is served';
COMMENT ON COLUMN catchment.script.kept_at IS 'when it was first kept';

REVOKE ALL ON SCHEMA catchment FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA catchment FROM PUBLIC;
