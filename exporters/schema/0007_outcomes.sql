-- Which target of its route an attempt went to, and which rule gave it its outcome: `rule:NAME` of the operator's, or a
-- built-in one (docs/policies.md). Rows of earlier versions, and of calls without a route, have neither.
ALTER TABLE attempts
    ADD COLUMN IF NOT EXISTS rule LowCardinality(String),
    ADD COLUMN IF NOT EXISTS target LowCardinality(String);
