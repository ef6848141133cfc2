"""The embedded store: the ClickHouse engine (chDB) behind the ClickHouse HTTP interface, as a process of its own.

`server.serve_store` is the way in; `clickhouse-connect` and every other HTTP client talk to it as to a real server.
"""
