"""Finished calls for pages that are open, as they happen."""
