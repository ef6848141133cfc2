"""What a request asks for."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from exporters.store.asking import read_asking, url_params
from exporters.store.errors import StoreError
from exporters.store.sessions import SessionWish
from exporters.store.users import Users
from proxy.settings import StoreSettings

USERS = Users(StoreSettings(url="", user="meter", password="x", reader_user="reader", reader_password="y"))
KEY = {"X-ClickHouse-User": "meter", "X-ClickHouse-Key": "x"}


async def asked(target, headers=KEY):
    return await read_asking(make_mocked_request("POST", target, headers=headers), USERS, Path(), ExitStack())


def test_parameters_may_hold_any_bytes_and_the_last_of_a_name_counts():
    params = url_params("/?query=a%20b%FFc+d&x=1&x=2&empty=&%C3%BC=%3D&&")

    assert params["query"].encode("utf-8", "surrogateescape") == b"a b\xffc d"
    assert (params["x"], params["empty"], params["ü"]) == ("2", "", "=")


async def test_a_parameter_is_what_the_interface_knows_or_a_setting_or_a_value():
    asking = await asked(
        "/?query=SELECT+1&max_threads=2&param_a=b&client_protocol_version=54405&quota_key=q&stacktrace=1"
    )

    assert (asking.text, asking.settings, asking.bind) == (b"SELECT 1", {"max_threads": "2"}, {"a": "b"})


async def test_headers_win_over_parameters():
    headers = KEY | {"X-ClickHouse-Database": "h", "X-ClickHouse-Format": "JSON"}
    asking = await asked("/?database=p&default_format=CSV", headers)

    assert (asking.database, asking.default_format) == ("h", "JSON")


async def test_defaults():
    asking = await asked("/")

    assert (asking.text, asking.database, asking.default_format) == (b"", "", "TabSeparated")
    assert (asking.session, asking.coding, asking.waits_for_end) == (None, None, False)
    assert len(asking.query_id) == 36


async def test_names_ids_and_sessions():
    asking = await asked("/?query_id=q1&session_id=s&session_timeout=5&session_check=1")

    assert (asking.query_id, asking.session) == ("q1", SessionWish("s", 5.0, must_exist=True))


@pytest.mark.parametrize(
    ("target", "coding"),
    [("/?enable_http_compression=1", "gzip"), ("/?enable_http_compression=0", None), ("/", None)],
)
async def test_an_answer_is_packed_only_when_it_is_asked_for_twice(target, coding):
    assert (await asked(target, KEY | {"Accept-Encoding": "gzip"})).coding == coding


@pytest.mark.parametrize("target", ["/?wait_end_of_query=1", "/?http_wait_end_of_query=1"])
async def test_waiting_for_the_end(target):
    assert (await asked(target)).waits_for_end


async def test_what_is_held_back_is_bounded():
    assert (await asked("/?buffer_size=99999999999")).held_bytes == 16 * 1024 * 1024


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/?compress=1", 48),
        ("/?decompress=1", 48),
        ("/?role=admin", 511),
        ("/?a-b=1", 115),
        ("/?a%27%3D1=1", 115),
        ("/?default_format=CSV%3B", 73),
        ("/?buffer_size=x", 36),
        ("/?session_id=a&session_timeout=x", 374),
    ],
)
async def test_what_cannot_be_done_is_refused_in_clickhouse_terms(target, code):
    with pytest.raises(StoreError) as caught:
        await asked(target)

    assert caught.value.code == code


async def test_a_reader_may_not_bring_every_setting():
    with pytest.raises(StoreError, match="readonly"):
        await asked("/?readonly=0", {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": "y"})
