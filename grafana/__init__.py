"""Dashboards and alert rules for Grafana and its ClickHouse data source, made from Python: `python -m grafana`."""
