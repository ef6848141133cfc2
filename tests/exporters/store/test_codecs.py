"""Content codings, both ways, in pieces of any size."""

import contextlib
import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.store.codecs import PIECE_BYTES, choose_coding, decoder, encoder
from exporters.store.errors import StoreError

CODINGS = ["zstd", "lz4", "gzip", "deflate", "br"]


def pack(coding, pieces):
    packer = encoder(coding)
    return b"".join([*map(packer.feed, pieces), packer.finish()])


def unpack(coding, pieces):
    undo = decoder(coding)
    got = b"".join(part for piece in pieces for part in undo.feed(piece))
    undo.finish()
    return got


@given(coding=st.sampled_from(CODINGS), pieces=st.lists(st.binary()), step=st.integers(1, 50))
def test_what_was_packed_comes_back_however_it_is_cut(coding, pieces, step):
    packed = pack(coding, pieces)

    assert unpack(coding, [packed[at : at + step] for at in range(0, len(packed), step)]) == b"".join(pieces)


@pytest.mark.parametrize("coding", CODINGS)
def test_what_was_fed_can_be_read_before_the_end(coding):
    packer, undo = encoder(coding), decoder(coding)

    assert b"".join(undo.feed(packer.feed(b"first line\n"))) == b"first line\n"


@pytest.mark.parametrize("coding", CODINGS)
def test_a_body_that_unfolds_to_much_comes_in_small_pieces(coding):
    packer = encoder(coding)
    packed = b"".join([*(packer.feed(bytes(PIECE_BYTES)) for _ in range(64)), packer.finish()])
    undo = decoder(coding)
    tracemalloc.start()
    total = sum(len(piece) for piece in undo.feed(packed))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert total == 64 * PIECE_BYTES
    assert peak < 16 * PIECE_BYTES


@pytest.mark.parametrize("coding", ["zstd", "lz4", "gzip"])
def test_frames_may_follow_each_other(coding):
    assert unpack(coding, [pack(coding, [b"one"]) + pack(coding, [b"two"])]) == b"onetwo"


@pytest.mark.parametrize("coding", CODINGS)
def test_a_body_that_breaks_off_is_an_error(coding):
    packed = pack(coding, [b"some text that is long enough to be cut"])

    with pytest.raises(StoreError, match=coding):
        unpack(coding, [packed[:-6]])


@given(coding=st.sampled_from(CODINGS), junk=st.binary(min_size=1))
def test_junk_is_an_error_and_nothing_else(coding, junk):
    with contextlib.suppress(StoreError):
        assert isinstance(unpack(coding, [junk]), bytes)


def test_no_coding_and_no_body_are_fine():
    assert unpack("", [b"a", b"", b"b"]) == b"ab"
    assert all(unpack(coding, []) == b"" for coding in CODINGS)
    assert unpack(" X-GZIP ", [gzip.compress(b"a")]) == b"a"


def test_an_unknown_coding_is_refused():
    with pytest.raises(StoreError, match="snappy"):
        decoder("snappy")


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("", None),
        ("gzip, deflate", "gzip"),
        ("br;q=1.0, gzip;q=0.5, *;q=0", "gzip"),
        ("zstd;q=0, lz4", "lz4"),
        ("lz4,zstd,gzip,deflate,br", "zstd"),
        ("identity", None),
    ],
)
def test_the_cheapest_accepted_coding_is_chosen(header, coding):
    assert choose_coding(header) == coding
