import msgspec
import pytest

from proxy.borrowed_store import borrowed_store
from proxy.runlock import LockedError, children_live, supervisor_lock
from proxy.settings import Listen, Settings, StoreSettings
from proxy.store_http import StoreError, ask
from proxy.supervisor import StartError


@pytest.fixture
def settings(tmp_path):
    return Settings(
        listen=Listen("127.0.0.1", 0),
        admin=Listen("127.0.0.1", 0),
        store=StoreSettings(url="http://127.0.0.1:0", user="taximeter", password=""),
        data_dir=tmp_path,
        workers=1,
        providers=(),
    )


def test_a_clickhouse_of_the_operators_is_taken_as_it_is(settings, tmp_path):
    own = msgspec.structs.replace(settings, store=msgspec.structs.replace(settings.store, embedded=False))
    with borrowed_store(own) as found:
        assert found is own
    assert list(tmp_path.iterdir()) == []


def test_a_data_folder_that_another_process_has_is_left_alone(settings):
    settings.run_dir.mkdir()
    with supervisor_lock(settings.run_dir), pytest.raises(LockedError), borrowed_store(settings):
        pass


@pytest.mark.real
def test_the_embedded_store_runs_as_long_as_it_is_needed(settings):
    with borrowed_store(settings) as found:
        with ask(found.store, "SELECT 1", answer_format="TSV", anywhere=True, write=True, timeout_s=10.0) as answer:
            assert answer.read() == b"1\n"
        assert children_live(settings.run_dir)
    assert not children_live(settings.run_dir)
    with (
        pytest.raises(StoreError),
        ask(found.store, "SELECT 1", answer_format="TSV", anywhere=True, timeout_s=10.0) as answer,
    ):
        answer.read()


@pytest.mark.real
def test_a_store_that_does_not_come_up_is_said_so(settings, tmp_path):
    (tmp_path / "store").write_text("in the way")
    with pytest.raises(StartError, match="does not come up"), borrowed_store(settings):
        pass
