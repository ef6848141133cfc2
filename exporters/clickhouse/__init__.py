"""The ClickHouse sink: rows of the tables in exporters/schema, delivered exactly once."""
