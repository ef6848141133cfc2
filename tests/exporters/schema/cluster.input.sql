CREATE TABLE IF NOT EXISTS calls
(
    call_id String,
    trace_id String,
    started_at DateTime64(9, 'UTC'),
    INDEX by_trace trace_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate(started_at)
ORDER BY started_at
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;
CREATE TABLE IF NOT EXISTS newest (trace_id String, v UInt64) ENGINE = ReplacingMergeTree(v) ORDER BY trace_id;
CREATE TABLE IF NOT EXISTS by_day (day Date, team String, calls SimpleAggregateFunction(sum, UInt64))
ENGINE = AggregatingMergeTree ORDER BY (day, team) SETTINGS non_replicated_deduplication_window = 200000;
CREATE MATERIALIZED VIEW IF NOT EXISTS by_day_view TO by_day AS
SELECT toDate(calls.started_at) AS day, call_id AS team, count() AS calls FROM calls GROUP BY day, team;
CREATE TABLE IF NOT EXISTS notes (day Date) ENGINE = MergeTree ORDER BY day SETTINGS non_replicated_deduplication_window = 10;
ALTER TABLE calls ADD COLUMN IF NOT EXISTS team String AFTER call_id, ADD INDEX IF NOT EXISTS by_team team TYPE minmax, MODIFY SETTING non_replicated_deduplication_window = 20000;
ALTER TABLE calls MODIFY SETTING ttl_only_drop_parts = 0;
ALTER TABLE notes ADD COLUMN IF NOT EXISTS why String;
ALTER TABLE by_day_view MODIFY QUERY SELECT toDate(c.started_at) AS day, team, count() AS calls FROM calls AS c GROUP BY day, team;
INSERT INTO by_day SELECT toDate(started_at), team, count() FROM calls GROUP BY 1, 2;
INSERT INTO notes VALUES ('2026-11-24', 'x');
CREATE OR REPLACE VIEW all_calls AS SELECT * FROM calls;
CREATE VIEW IF NOT EXISTS days AS SELECT day FROM notes;
DROP VIEW IF EXISTS days;
DROP TABLE IF EXISTS newest;
