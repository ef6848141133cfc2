-- What a call has used of budgets, as the ledger books it: counter -> amount, in whole numbers of the counter's unit
-- (10^-9 of a currency, whole tokens and calls, 10^-6 of any other). `journal` and `segment` say where its record stood:
-- `taximeter ledger rebuild` tells by them what is in a sum already. Rows of earlier versions have none of the three.
ALTER TABLE calls
    ADD COLUMN IF NOT EXISTS draws Map(String, Int64) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS journal LowCardinality(String),
    ADD COLUMN IF NOT EXISTS segment UInt32 CODEC(T64, ZSTD(1));
