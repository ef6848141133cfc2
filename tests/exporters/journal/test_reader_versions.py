"""Journals outlive versions: what an older one wrote is read for ever, what a later one wrote is never read by half."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from exporters.journal.encode import encode_line
from exporters.journal.names import SegmentName
from exporters.journal.reader import Segment, read_segment
from proxy.core.record import RECORD_VERSION

FROZEN = {1: "f0432c6a826fc0594cb57f70c43ba8603f82c575459c88991944cad4a2d99093"}
"""Version -> sha256 of the lines that it wrote. A fixture is never changed: a new version gets a new one."""


def content(folder, data):
    """What is read of a segment that holds these bytes."""
    name = SegmentName(1, data.count(b"\n"), hashlib.sha256(data).hexdigest())
    segment = Segment(instance="w", name=name, folder=folder)
    segment.path.write_bytes(data)
    return read_segment(segment)


def frozen(version):
    return Path(__file__).with_name(f"records-v{version}.jsonl").read_bytes()


@pytest.mark.parametrize("version", FROZEN)
def test_every_line_that_an_older_version_wrote_is_read_with_all_that_is_in_it(tmp_path, version):
    data = frozen(version)
    assert hashlib.sha256(data).hexdigest() == FROZEN[version]
    found = content(tmp_path, data)
    assert (found.bad, found.missing, len(found.records)) == ([], 0, data.count(b"\n"))
    again, buffer = b"", bytearray()
    for record in found.records:
        encode_line(record, buffer)
        again += buffer
    assert again == data


def test_every_version_so_far_has_its_lines_kept():
    assert sorted(FROZEN) == list(range(1, RECORD_VERSION + 1))


def with_more(value):
    """The same JSON with a field that nobody knows in every object."""
    if isinstance(value, dict):
        return {**{key: with_more(item) for key, item in value.items()}, "of_tomorrow": {"a": [1]}}
    return [with_more(item) for item in value] if isinstance(value, list) else value


def test_fields_that_a_later_version_added_are_passed_over(tmp_path):
    lines = [msgspec.json.decode(line) for line in frozen(1).splitlines()]
    for line in lines:
        line["of_tomorrow"] = True
        for attempt in line.get("attempts", ()):
            attempt["usage"] = with_more(attempt.get("usage", {})) | {
                "units": attempt.get("usage", {}).get("units", {})
            }
    found = content(tmp_path, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    assert found.bad == []
    assert found.records == content(tmp_path, frozen(1)).records


def test_a_line_of_a_later_version_is_left_as_a_whole(tmp_path):
    this, later = frozen(1), frozen(1).replace(b'"v":1', b'"v":%d' % (RECORD_VERSION + 1))
    found = content(tmp_path, later + this)
    assert found.bad == later.splitlines()
    assert found.records == content(tmp_path, this).records
