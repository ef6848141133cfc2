"""Records on their way out: journal, recorder, ClickHouse, reports and the embedded store."""
