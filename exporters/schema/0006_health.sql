-- What /metrics tells of the machine, without the calls, every 15 s: journal, sinks, losses, self-check, processes, disk,
-- budgets. `metric` and `labels` are those of docs/metrics.md. For dashboards and alerts that ask the store alone; nothing
-- is on the books here. While the store is away nothing is written, and nothing is brought in later: a gap means that.
CREATE TABLE IF NOT EXISTS health
(
    at       DateTime('UTC') CODEC(Delta, ZSTD(1)),
    -- Of the data folder, the same as `service.instance.id` of the OpenTelemetry sinks: several machines may share a store.
    instance LowCardinality(String),
    metric   LowCardinality(String),
    labels   Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    value    Float64 CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(at)
ORDER BY (metric, instance, at)
TTL at + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;
