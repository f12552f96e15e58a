CREATE TABLE fact (
    id          INTEGER PRIMARY KEY,
    instance    TEXT    NOT NULL,
    occurred_at INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    provider    TEXT,
    path        TEXT,
    fields      TEXT    NOT NULL
) STRICT;
CREATE INDEX fact_by_time ON fact (occurred_at);
CREATE INDEX fact_by_provider ON fact (provider, occurred_at);

CREATE TABLE standing_order (
    provider TEXT PRIMARY KEY,
    kind     TEXT    NOT NULL,
    by       TEXT    NOT NULL,
    reason   TEXT    NOT NULL,
    at       INTEGER NOT NULL
) STRICT;
