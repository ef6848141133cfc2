import socket

import msgspec
import pytest

from proxy.store_http import StoreError, ask
from tests.fakes.clickhouse import fake_clickhouse

TWO_ROWS = (200, {"X-ClickHouse-Format": "CSV"}, b"1\n2\n")


def test_reads_are_asked_as_the_reader_and_writes_as_the_other_user():
    with fake_clickhouse() as clickhouse:
        clickhouse.answers["SELECT"] = TWO_ROWS
        with ask(clickhouse.settings, "SELECT 1", answer_format="CSV") as answer:
            assert answer.format == "CSV"
            assert answer.read() == b"1\n2\n"
        ask(clickhouse.settings, "SELECT 2", answer_format="CSV", write=True).read()
    first, second = clickhouse.asked
    assert (first["user"], first["key"]) == ("reader", "ro-pw")
    assert (second["user"], second["key"]) == ("rw", "rw-pw")
    assert first["default_format"] == "CSV"
    assert first["database"] == "taximeter"
    assert "readonly" not in first


def test_where_one_user_does_both_reads_are_held_to_reading():
    with fake_clickhouse() as clickhouse:
        clickhouse.answers["SELECT"] = TWO_ROWS
        one = msgspec.structs.replace(clickhouse.settings, reader_user="rw", reader_password="rw-pw")
        ask(one, "SELECT 1", answer_format="CSV").read()
        ask(one, "SELECT 2", answer_format="CSV", write=True).read()
    assert [asked.get("readonly") for asked in clickhouse.asked] == ["1", None]


def test_a_question_to_the_server_alone_names_no_database():
    with fake_clickhouse() as clickhouse:
        clickhouse.answers["SELECT"] = TWO_ROWS
        ask(clickhouse.settings, "SELECT version()", answer_format="CSV", anywhere=True).read()
    assert "database" not in clickhouse.asked[0]


def test_what_the_store_says_against_it_comes_with_its_code():
    with fake_clickhouse() as clickhouse, pytest.raises(StoreError, match="no such table") as raised:
        ask(clickhouse.settings, "SELECT * FROM nowhere", answer_format="CSV")
    assert raised.value.code == 60


def test_a_refusal_without_words_names_its_status():
    with fake_clickhouse() as clickhouse:
        clickhouse.answers["SELECT"] = (502, {}, b"")
        with pytest.raises(StoreError, match="502") as raised:
            ask(clickhouse.settings, "SELECT 1", answer_format="CSV")
    assert raised.value.code is None


def test_an_answer_that_breaks_off_is_an_error():
    with fake_clickhouse() as clickhouse:
        clickhouse.answers["SELECT"] = (200, {"Content-Length": "100", "Connection": "close"}, b"1\n")
        with (
            ask(clickhouse.settings, "SELECT 1", answer_format="CSV") as answer,
            pytest.raises(StoreError, match="broke off"),
        ):
            answer.read()


def test_nobody_there_is_said_plainly():
    with fake_clickhouse() as clickhouse, socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    gone = msgspec.structs.replace(clickhouse.settings, url=f"http://127.0.0.1:{port}")
    with pytest.raises(StoreError, match=f"127.0.0.1:{port} cannot be reached: connection refused"):
        ask(gone, "SELECT 1", answer_format="CSV")


def test_a_server_that_speaks_something_else_is_no_store():
    with socket.create_server(("127.0.0.1", 0)) as silent, fake_clickhouse() as clickhouse:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(StoreError, match="cannot be reached: timed out"):
            ask(msgspec.structs.replace(clickhouse.settings, url=url), "SELECT 1", answer_format="CSV", timeout_s=0.1)
