"""Errors in ClickHouse's words, and the status that goes with them."""

import pytest

from exporters.store.errors import AUTHENTICATION_FAILED, READONLY, StoreError, from_engine, stream_block


@pytest.mark.parametrize(
    ("message", "code", "name", "detail"),
    [
        ("Code: 60. DB::Exception: No table. (UNKNOWN_TABLE)", 60, "UNKNOWN_TABLE", "No table"),
        (
            "Code: 73. DB::Exception: Code: 73. DB::Exception: Unknown format X. (UNKNOWN_FORMAT) (version 1.2). (UNKNOWN_FORMAT)",
            73,
            "UNKNOWN_FORMAT",
            "Unknown format X",
        ),
        ("Code: 1. DB::Exception: f (OTHER) is bad. (REAL)", 1, "REAL", "f (OTHER) is bad"),
        ("Code: 27. DB::Exception: No: (in file/uri /tmp/x/1): at. (BAD)", 27, "BAD", "No: at"),
        (
            "Code: 62. DB::Exception: at: SELECT\nINTO OUTFILE '/tmp/x' TRUNCATE FORMAT. (SYNTAX_ERROR)",
            62,
            "SYNTAX_ERROR",
            "at: SELECT FORMAT",
        ),
        ("Killed", 1002, "UNKNOWN_EXCEPTION", "Killed"),
        ("", 1002, "UNKNOWN_EXCEPTION", "The engine failed without a word"),
    ],
)
def test_what_the_engine_raises_is_said_once_and_without_our_pipes(message, code, name, detail):
    error = from_engine(message)

    assert (error.code, error.name, error.detail) == (code, name, detail)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (60, 404),
        (62, 400),
        (115, 404),
        (159, 408),
        (164, 500),
        (194, 401),
        (229, 413),
        (241, 500),
        (395, 500),
        (516, 403),
    ],
)
def test_the_status_is_that_of_a_real_server(code, status):
    assert StoreError((code, "NAME"), "").status == status


def test_the_text_is_what_clients_read_code_and_name_from():
    assert StoreError(READONLY, "No").text("1.2") == "Code: 164. DB::Exception: No (READONLY) (version 1.2)\n"


def test_the_block_that_ends_a_stream_states_the_length_of_its_message():
    block = stream_block(StoreError(AUTHENTICATION_FAILED, "ü"), "a" * 16, "1")

    opened, tag, message, closing, end, _ = block.split(b"\r\n")[1:4] + [*block.split(b"\r\n")[4:], b""][:3]
    assert (opened, tag, closing, end) == (b"__exception__", b"a" * 16, b"__exception__", b"")
    text, _, hint = message.rpartition(b"\n")
    assert hint == f"{len(text) + 1} {'a' * 16}".encode()


def test_a_block_stays_within_what_clients_look_at():
    assert len(stream_block(StoreError(READONLY, "x" * 100_000), "a" * 16, "1")) < 16 * 1024
