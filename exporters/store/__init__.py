"""The embedded store: the ClickHouse engine (chDB) behind the ClickHouse HTTP interface, as a process of its own.

`server.serve_store` is the way in; `clickhouse-connect` and every other HTTP client talk to it as to a real server.

From the outside in: `interface` (one request, one answer; `asking`, `answering`, `origin`, `users`, `hello`), `store`
(places, sessions, query ids), `work` (one statement at the engine, through `pipes`), `engine`, `guard` (what a reader
may not do), `folder` (lock and configuration). `statement`, `errors` and `codecs` are pure helpers of all of them.

Data go in by `INSERT ... FROM INFILE` from a pipe and not by the binding's `send_insert`: that reports success when a
constraint, a partition limit or a view made the engine drop the rows.

What differs from a server: users, roles and quotas are not there, only the two users of the settings; no native block
compression (`compress=1`), no INSERT ... SELECT FROM input(), no progress headers, no transactions; the client's query
id is in the answer and in `KILL QUERY WHERE query_id = '...'`, but `system.processes` shows the engine's own;
`compatibility`, `profile`, `readonly` and `allow_ddl` cannot be given for one query of a session that holds state;
a session whose connections are closed is not given to a clickhouse-connect that has just started; a reader may set
looks and limits for a query and sees functions that reach outside refused; a result that is waited for to its end may
have 4 GiB at most.
"""
