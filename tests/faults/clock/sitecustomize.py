"""A wall clock that a test can turn: Python imports this file at the start of every process it is in the path of.

`offset_s` beside it holds one double, read through shared memory: every process jumps at the same instant. What the
kernel stamps on files does not jump, nor does the database engine's own clock, nor any monotonic one.
"""

import mmap
import struct
import time
from pathlib import Path

_FILE = Path(__file__).with_name("offset_s")

if _FILE.is_file():
    with _FILE.open("r+b") as _open:
        _shared = mmap.mmap(_open.fileno(), 8, access=mmap.ACCESS_READ)
    _time, _time_ns, _gmtime, _localtime = time.time, time.time_ns, time.gmtime, time.localtime

    def _offset_s() -> float:
        return float(struct.unpack("d", _shared)[0])

    time.time = lambda: _time() + _offset_s()
    time.time_ns = lambda: _time_ns() + int(_offset_s() * 1e9)
    time.gmtime = lambda seconds=None: _gmtime(time.time() if seconds is None else seconds)
    time.localtime = lambda seconds=None: _localtime(time.time() if seconds is None else seconds)
