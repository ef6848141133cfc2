import functools
import gzip
import tracemalloc
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core import coding
from proxy.core.coding import Decoder, Encoder, can_code, codings, zstd


def raw_deflate(data):
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


COMPRESS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": functools.partial(brotli.compress, quality=4),
    "zstd": zstd.compress,
}
CODINGS = [*COMPRESS, "x-gzip", "gzip, br", "zstd, gzip, deflate"]
TEXT = b'data: {"content":"na\xc3\xafve"}\n\n' * 40


def compress(content_encoding, data):
    for name in codings(content_encoding):
        data = COMPRESS["gzip" if name == "x-gzip" else name](data)
    return data


def decode(content_encoding, data, size=0, **limits):
    """All that comes out when `data` is fed in pieces of `size` bytes (0: at once), and why it failed."""
    decoder = Decoder(content_encoding, **limits)
    step = size or max(len(data), 1)
    out = b"".join(decoder.feed(data[at : at + step]) for at in range(0, len(data), step))
    return out + decoder.finish(), decoder.failed


@pytest.mark.parametrize("size", [0, 1, 7])
@pytest.mark.parametrize("content_encoding", CODINGS)
def test_decodes_however_the_bytes_are_cut(content_encoding, size):
    assert decode(content_encoding, compress(content_encoding, TEXT), size) == (TEXT, None)


@pytest.mark.parametrize("content_encoding", CODINGS)
@given(pieces=st.lists(st.binary(max_size=80), max_size=8))
def test_what_the_encoder_makes_of_a_piece_decodes_at_once(content_encoding, pieces):
    encoder, decoder = Encoder(content_encoding), Decoder(content_encoding)
    for piece in pieces:
        assert decoder.feed(encoder.feed(piece)) == piece
    assert decoder.feed(encoder.finish()) == b""
    assert decoder.failed is None


@pytest.mark.parametrize("name", COMPRESS)
def test_an_encoded_stream_is_whole_for_an_ordinary_decompressor(name):
    encoder = Encoder(name)
    coded = encoder.feed(TEXT) + encoder.feed(TEXT) + encoder.finish()
    decompress = {"gzip": gzip.decompress, "deflate": zlib.decompress, "br": brotli.decompress, "zstd": zstd.decompress}
    assert decompress[name](coded) == TEXT * 2


@pytest.mark.parametrize("size", [0, 1])
def test_deflate_without_the_zlib_wrapper_decodes_too(size):
    assert decode("deflate", raw_deflate(TEXT), size) == (TEXT, None)


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_several_members_or_frames_decode_as_one_text(name, size):
    part = COMPRESS[name]
    assert decode(name, part(TEXT) + part(b"") + part(b"more"), size) == (TEXT + b"more", None)


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("rest", [b"\0\0\0", b"\x1f", b"\x1fx", b"junk"])
def test_what_follows_the_last_gzip_member_is_ignored(rest, size):
    assert decode("gzip", gzip.compress(TEXT) + rest, size) == (TEXT, None)


@pytest.mark.parametrize("content_encoding", ["", "identity", "Identity", " , "])
def test_without_a_coding_the_bytes_pass(content_encoding):
    assert decode(content_encoding, TEXT, max_bytes=1) == (TEXT, None)


def test_names_are_read_in_any_case_and_identity_counts_for_nothing():
    assert codings("GZip, identity ,BR") == ["gzip", "br"]
    assert decode("GZip, identity ,BR", brotli.compress(gzip.compress(TEXT))) == (TEXT, None)


@pytest.mark.parametrize("content_encoding", ["compress", "gzip, aws-chunked", "gzip, gzip, gzip, gzip"])
def test_an_unknown_or_endlessly_stacked_coding_is_given_up(content_encoding):
    assert not can_code(content_encoding)
    assert decode(content_encoding, TEXT) == (b"", "unknown_coding")
    with pytest.raises(ValueError, match="content encoding"):
        Encoder(content_encoding)


@pytest.mark.parametrize("name", COMPRESS)
def test_a_coded_body_that_is_cut_off_gives_what_came(name):
    encoder = Encoder(name)
    coded = encoder.feed(TEXT) + encoder.feed(b"lost")[:-1]
    out, failed = decode(name, coded)
    assert out.startswith(TEXT)
    assert failed is None


@pytest.mark.parametrize("name", COMPRESS)
def test_bad_bytes_are_given_up_and_nothing_more_is_decoded(name):
    decoder = Decoder(name)
    decoder.feed(b"this was never compressed, whatever the header says")
    assert decoder.failed == "bad_coding"
    assert decoder.feed(compress(name, TEXT)) == b""


@pytest.mark.parametrize("content_encoding", CODINGS)
@given(data=st.binary(max_size=300), size=st.integers(0, 40))
def test_arbitrary_bytes_never_raise_and_a_failure_has_its_name(content_encoding, data, size):
    _, failed = decode(content_encoding, data, size, max_bytes=1000)
    assert failed in {None, "bad_coding", "too_large"}


@pytest.mark.parametrize("content_encoding", CODINGS)
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_changed_byte_never_raises_and_never_makes_it_longer_than_the_limit(content_encoding, at, byte):
    data = bytearray(compress(content_encoding, TEXT))
    data[at % len(data)] = byte
    out, failed = decode(content_encoding, bytes(data), max_bytes=len(TEXT))
    assert failed in {None, "bad_coding", "too_large"}
    assert len(out) <= len(TEXT)


@pytest.mark.parametrize("content_encoding", ["gzip", "br", "zstd", "gzip, gzip"])
def test_a_bomb_is_given_up_before_it_is_unpacked(content_encoding):
    bomb = compress(content_encoding, bytes(64 * 1024 * 1024))
    tracemalloc.start()
    out, failed = decode(content_encoding, bomb, max_bytes=1024 * 1024)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert failed == "too_large"
    assert len(out) <= 1024 * 1024
    assert peak_bytes < 8 * 1024 * 1024


@pytest.mark.parametrize("size", [0, 50])
def test_all_decoded_bytes_together_are_bounded(size):
    out, failed = decode("gzip", gzip.compress(TEXT), size, max_bytes=len(TEXT) - 1)
    assert failed == "too_large"
    assert len(out) < len(TEXT)
    assert decode("gzip", gzip.compress(TEXT), size, max_bytes=len(TEXT)) == (TEXT, None)


def test_what_one_call_unpacks_is_bounded_even_for_an_endless_stream():
    encoder, decoder = Encoder("gzip"), Decoder("gzip", max_feed_bytes=1000)
    for _ in range(5):
        assert decoder.feed(encoder.feed(b"x" * 900)) == b"x" * 900
    decoder.feed(encoder.feed(b"x" * 1001))
    assert decoder.failed == "too_large"


@pytest.mark.parametrize("name", COMPRESS)
def test_nothing_stays_inside_when_a_piece_comes_out_full(name, monkeypatch):
    monkeypatch.setattr(coding, "PIECE_BYTES", 1000)
    for size in range(900, 2300, 7):
        assert decode(name, compress(name, bytes(size))) == (bytes(size), None)


def test_nothing_stays_inside_though_all_input_is_used_up(monkeypatch):
    monkeypatch.setattr(coding, "PIECE_BYTES", 1000)
    for size in range(900, 2300):
        assert decode("deflate", raw_deflate(bytes(size))) == (bytes(size), None)


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_endless_empty_parts_are_given_up(name, monkeypatch):
    monkeypatch.setattr(coding, "_MAX_PARTS", 50)
    assert decode(name, COMPRESS[name](b"") * 50) == (b"", None)
    assert decode(name, COMPRESS[name](b"") * 51) == (b"", "too_large")
