"""All rows of one store into another: from the embedded one to a real ClickHouse server, and again for what came since.

`copying.copy_store` is the way in. It knows no progress file: what is still to be done is found by comparing the two
ends, hour by hour, so that a copy that was killed, at either end and at any moment, is just run once more.

From the outside in: `copying` (passes, patience), `rows` (one table), `rollups` (sums of rows that are gone),
`verifying`, `source` (the embedded store, running or not), `end` (one of the two servers), `slices` (PURE: the pieces).
"""
