import json
import random

import pytest

from tests.faults.destroyed import CHANGES, Destroyed, lines, tear

DICE = random.Random(3)


def line(kind, number):
    return json.dumps({"line": kind, "call_id": f"id-{number}", "caller": {"session": str(number)}}).encode() + b"\n"


def test_lines_are_known_by_kind_and_call_and_what_is_no_call_is_left_out():
    data = line("open", 1) + b'{"line":"loss","counts":{}}\n' + b"\0\0\n" + line("call", 1) + b'{"line":"open"'
    assert lines(data) == {("open", 1), ("call", 1)}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_change_destroys_a_line_and_is_noted(tmp_path, change):
    path = tmp_path / "s.jsonl"
    data = b"".join(line("open", number) + line("call", number) for number in range(20))
    path.write_bytes(data)
    destroyed = Destroyed()
    destroyed.change(path, change, DICE)
    left = lines(path.read_bytes())
    assert destroyed.opens | destroyed.ends
    assert left | {("open", n) for n in destroyed.opens} | {("call", n) for n in destroyed.ends} == lines(data)
    assert destroyed.sealed == 1


def test_nothing_is_left_of_a_call_without_a_first_and_a_last_line(tmp_path):
    torn, whole = tmp_path / "00000001.open", tmp_path / "w" / "s.jsonl"
    whole.parent.mkdir()
    torn.write_bytes(line("open", 1) + line("open", 2))
    whole.write_bytes(line("call", 2))
    destroyed = Destroyed()
    destroyed.change(torn, lambda data, _: data.clear(), DICE)
    assert (destroyed.opens, destroyed.sealed) == ({1, 2}, 0)
    assert destroyed.nothing_left(tmp_path) == {1}


def test_tearing_always_takes_something():
    for _ in range(50):
        data = bytearray(b"ab")
        tear(data, DICE)
        assert len(data) < 2
