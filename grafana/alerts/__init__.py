"""Alert rules for Grafana, provisioned from a file."""
