"""The admin port: health, reports, metrics; never on the path of a call."""
