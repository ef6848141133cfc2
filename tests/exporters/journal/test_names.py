import pytest

from exporters.journal.names import SegmentName, is_instance, new_instance, open_name, parse_open, parse_sealed

SHA256 = "0123456789abcdef" * 4


def test_the_name_of_a_sealed_segment_says_number_lines_and_hash():
    name = SegmentName(7, 120, SHA256)
    assert name.file_name == f"00000007-120-{SHA256}.jsonl"
    assert parse_sealed(name.file_name) == name


@pytest.mark.parametrize(
    "name",
    [
        "lock",
        "00000001.open",
        f"00000001-120-{SHA256}",
        f"00000001-120-{SHA256[:-1]}.jsonl",
        f"00000001-120-{SHA256.upper()}.jsonl",
        f".00000001-120-{SHA256}.jsonl.part",
        f"1-120-{SHA256}.jsonl",
    ],
)
def test_nothing_else_is_a_sealed_segment(name):
    assert parse_sealed(name) is None


def test_the_name_of_an_open_segment_says_its_number():
    assert parse_open(open_name(42)) == 42
    assert parse_open(f"00000042-1-{SHA256}.jsonl") is None


def test_numbers_grow_past_their_padding():
    assert parse_open(open_name(123_456_789)) == 123_456_789


def test_no_two_instances_have_one_name():
    names = {new_instance("worker-0") for _ in range(100)}
    assert len(names) == 100
    assert all(map(is_instance, names))


@pytest.mark.parametrize("name", [".shipped", ".quarantine", ".worker.new", "", "../x", "a/b", "a.b"])
def test_folders_of_other_kinds_are_no_instances(name):
    assert not is_instance(name)
