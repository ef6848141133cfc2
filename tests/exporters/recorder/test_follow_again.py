"""Calls that are opened more than once: a walk notes each of its attempts, a long stream each of its steps."""

import hashlib

import msgspec
import pytest

from exporters.journal.names import SegmentName
from exporters.journal.quarantine import Quarantine
from exporters.recorder.follow import Follower
from exporters.recorder.state import State
from tests.fakes.records import call, call_id, opened

UNREADABLE = b'{"line":"call","v":1,"call_id":"%b"}' % call_id(1).encode()


@pytest.mark.parametrize("end", [msgspec.json.encode(call(1)), UNREADABLE], ids=["its record", "an unreadable line"])
def test_a_call_that_is_opened_again_in_the_segment_that_ends_it_is_over(tmp_path, end):
    again = msgspec.json.encode(opened(1))
    for number, lines in enumerate(([again], [again, end]), start=1):
        data = b"".join(line + b"\n" for line in lines)
        name = SegmentName(number, len(lines), hashlib.sha256(data).hexdigest()).file_name
        (tmp_path / "w").mkdir(exist_ok=True)
        (tmp_path / "w" / name).write_bytes(data)
    state = State(tmp_path / "recorder.sqlite")
    found = Follower(tmp_path, state, Quarantine(tmp_path)).look()
    assert (found.finished, found.interrupted, state.open_calls()) == ({"w"}, 0, 0)
    state.close()
