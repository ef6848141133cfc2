"""The first answer to clickhouse-go."""

import pytest

from exporters.store.hello import HELLO, hello_block


def read_text(block, at):
    end = at + 1 + block[at]
    return block[at + 1 : end].decode(), end


@pytest.mark.parametrize(("version", "flags"), [(54453, 0), (54454, 1), (54485, 1)])
def test_the_block_is_read_as_clickhouse_go_reads_it(version, flags):
    block = hello_block(version, "26.9.2.1")
    assert (block[0], block[1], block[2], block[7]) == (1, 0, 2, 0)
    assert (block[8], block[9]) == (4, 1)
    at, values = 10, {}
    for _ in range(4):
        name, at = read_text(block, at)
        kind, at = read_text(block, at)
        assert block[at : at + flags] == bytes(flags)
        at += flags
        if kind == "UInt32":
            values[name], at = int.from_bytes(block[at : at + 4], "little"), at + 4
        else:
            values[name], at = read_text(block, at)

    assert at == len(block)
    assert values == {"displayName()": "taximeter", "version()": "26.9.2.1", "revision()": 0, "timezone()": "UTC"}


@pytest.mark.real
def test_only_who_speaks_the_protocol_gets_it(client):
    native = client.ask(HELLO, default_format="Native", client_protocol_version=54485, query_id="go")

    assert native.body == hello_block(54485, client.sql("SELECT version()"))
    assert (native.headers["X-ClickHouse-Query-Id"], native.headers["X-ClickHouse-Format"]) == ("go", "Native")
    assert client.sql(HELLO).split("\t")[2] != "0"
    assert client.ask(HELLO, default_format="Native", client_protocol_version=54485, login=False).status == 401
