-- What was said: for operators who ask for it, apart from the calls, so that it can be kept for a shorter time and read by
-- fewer people. NOTHING WRITES IT YET: this version records no content at all, and the table stays empty.
-- One row per attempt, as far as it had content; the request of attempt 1 is the app's own. Texts are already redacted.
CREATE TABLE IF NOT EXISTS contents
(
    call_id            String CODEC(ZSTD(1)),
    attempt            UInt8,
    started_at         DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    trace_id           String CODEC(ZSTD(1)),
    team               LowCardinality(String),
    project            LowCardinality(String),
    -- Bodies as text.
    request            String CODEC(ZSTD(3)),
    response           String CODEC(ZSTD(3)),
    -- Why a body is not there, or not whole: `too_large`, `binary`, `encoding`, `sampled_out`.
    request_omitted    LowCardinality(String),
    response_omitted   LowCardinality(String),
    -- Sizes of what passed, in bytes, whatever is kept of it.
    request_bytes      UInt64 CODEC(T64, ZSTD(1)),
    response_bytes     UInt64 CODEC(T64, ZSTD(1)),
    -- Names of the rules that took something out.
    redactions         Array(LowCardinality(String)) CODEC(ZSTD(1)),
    INDEX by_call_id call_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate(started_at)
ORDER BY (toStartOfHour(started_at), team, project, call_id, attempt)
TTL toDateTime(started_at) + INTERVAL 14 DAY
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;
