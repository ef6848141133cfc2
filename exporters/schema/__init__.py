"""The tables of the store: numbered, additive DDL that dashboards and finance can rely on, and what applies it."""
