import msgspec
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from exporters.clickhouse.client import INSERT_SETTINGS, blamed_view, blames_rows, connect
from proxy.settings import StoreSettings
from tests.fakes.embedded_store import embedded_store


@pytest.mark.parametrize("code", [6, 27, 41, 69, 72, 349, 407, 469])
def test_an_error_about_what_is_in_the_rows_blames_the_rows(code):
    assert blames_rows(DatabaseError("refused", code=code))


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("connection refused"),
        DatabaseError("no code"),
        *(DatabaseError("x", code=code) for code in (16, 60, 81, 117, 159, 241, 252, 516, 999)),
    ],
)
def test_any_other_error_does_not(error):
    # What is not known to be hopeless is tried again: a row too much in quarantine is worse than a row too late.
    assert not blames_rows(error)


def test_a_view_that_cannot_work_with_rows_is_named():
    said = "Cannot parse string 'x' as UInt8: while executing 'toUInt8(x)': while pushing to view t.mine (CANNOT_PARSE)"
    assert blamed_view(DatabaseError(said, code=6)) == "t.mine"
    assert blamed_view(DatabaseError("Cannot parse string 'x' as UInt8", code=6)) == ""
    assert blamed_view(DatabaseError("out of memory: while pushing to view t.mine", code=241)) == "", "is tried again"


def test_nobody_there_is_an_error_of_the_client():
    with pytest.raises(OperationalError):
        connect(StoreSettings(url="http://127.0.0.1:9", user="u", password="p"))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.mark.real
def test_a_connection_has_no_session(store):
    client = store.client("default")
    assert client.get_client_setting("session_id") is None
    client.close()


@pytest.mark.real
def test_the_embedded_store_is_reached_whatever_proxy_the_environment_names(store, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    client = store.client("default")
    assert client.command("SELECT 1") == 1
    client.close()
    foreign = msgspec.structs.replace(store.settings.store, embedded=False)
    with pytest.raises(OperationalError):
        connect(foreign)


@pytest.mark.real
def test_the_engine_knows_every_setting_that_is_pinned(store):
    client = store.client("default")
    assert set(INSERT_SETTINGS) - set(client.server_settings) <= {"wait_end_of_query"}
    client.close()
