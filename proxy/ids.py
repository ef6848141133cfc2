"""Ids of calls, traces and spans.

`random.getrandbits` instead of the kernel's generator: ids are no secrets, and it is ten times as fast.
"""

import random
import time


def new_call_id() -> str:
    """32 hex characters: milliseconds since 1970 first, so that ids sort by time, then 80 random bits.

    It is a valid trace id as well (W3C Trace Context asks for 56 random bits at its right end): a call that no trace
    came with has its call id for a trace id, and is found under either.
    """
    return f"{time.time_ns() // 1_000_000:012x}{random.getrandbits(80):020x}"


def new_span_id() -> str:
    """16 hex characters, never all zero."""
    return f"{random.getrandbits(64) | 1:016x}"
