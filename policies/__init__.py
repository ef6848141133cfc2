"""YAML policies turned into decisions: what a call may do, where it goes, what it holds."""
