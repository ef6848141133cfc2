import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.json_array import ArraySplitter

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\[]{},: \n', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def split(data, sizes=(), **limits):
    splitter = ArraySplitter(**limits)
    elements, at = [], 0
    for size in sizes:
        elements += splitter.feed(data[at : at + size])
        at += size
    return elements + splitter.feed(data[at:]), splitter


@given(st.lists(json_values, max_size=4), st.sampled_from([None, 1]), st.lists(st.integers(0, 9), max_size=20))
def test_gives_the_elements_of_an_array_however_it_is_cut(array, indent, sizes):
    text = json.dumps(array, indent=indent).encode()
    for pieces in (sizes, [1] * len(text)):
        elements, splitter = split(text, pieces)
        assert [json.loads(element) for element in elements] == array
        assert splitter.closed
        assert splitter.failed is None


def test_an_element_is_handed_out_with_the_comma_after_it():
    splitter = ArraySplitter()
    assert splitter.feed(b'[{"a":1}') == []
    assert splitter.feed(b"\n,\r\n") == [b'{"a":1}']
    assert splitter.feed(b'{"b":2}]') == [b'{"b":2}']
    assert splitter.closed


def test_an_array_that_is_cut_off_is_not_closed_and_keeps_its_half_element():
    elements, splitter = split(b'[{"a":1},{"b":')
    assert elements == [b'{"a":1}']
    assert not splitter.closed


def test_what_follows_the_array_is_ignored():
    assert split(b'[{"a":1}] [{"b":2}]')[0] == [b'{"a":1}']


@pytest.mark.parametrize("sizes", [[], [1] * 60])
def test_an_element_too_long_ends_the_splitting(sizes):
    elements, splitter = split(b'[{"a":1},"' + b"x" * 40 + b'",{"b":2}]', sizes, max_element_bytes=20)
    assert elements == [b'{"a":1}']
    assert splitter.failed == "event_too_long"
    assert splitter.feed(b"[1,2]") == []


@given(
    st.lists(st.sampled_from([b"[", b"]", b"{", b"}", b'"', b"\\", b",", b"a", b" "]), max_size=30), st.integers(1, 9)
)
def test_no_bytes_raise_or_are_held_beyond_the_limit(pieces, limit):
    data = b"[" + b"".join(pieces)
    splitter = ArraySplitter(max_element_bytes=limit)
    for at in range(len(data)):
        splitter.feed(data[at : at + 1])
        assert len(splitter._held) <= limit
