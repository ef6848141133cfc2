"""PURE: one wire format per file, what the bytes of a provider mean."""
