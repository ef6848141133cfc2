"""Alerts: what the operator should hear of, told once, to people and to machines."""
