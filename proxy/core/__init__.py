"""PURE vocabulary and arithmetic: no I/O, no clock, no randomness; bytes and values in, values out."""
