"""Call records by webhook: signed POSTs of JSON."""
