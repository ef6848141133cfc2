"""Calls and the recorder's own state as Prometheus metrics. For alerts, never for books: those are in the store."""
