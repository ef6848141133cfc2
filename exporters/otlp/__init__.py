"""Spans and metrics over OTLP, from the records of calls."""
