import os

import msgspec
import pytest

from proxy.config.credentials import make_private_dirs
from proxy.runlock import supervisor_lock
from proxy.runstate import FILE_NAME, RunState, as_running, read_state, write_state
from proxy.settings import Listen
from tests.fakes.config_files import load

STATE = RunState(
    pid=os.getpid(),
    version="1",
    started_at_s=5.0,
    config_file=None,
    listen=Listen("127.0.0.1", 1),
    admin=Listen("127.0.0.1", 2),
    store_url="http://127.0.0.1:3",
    currencies={"minimax-cn": "CNY"},
    processes=[{"name": "worker-0", "pid": 7}],
)


@pytest.fixture
def settings(tmp_path):
    settings = load(tmp_path, None)
    make_private_dirs(settings)
    return settings


def test_what_runs_can_be_read_while_it_runs_and_not_after(settings):
    with supervisor_lock(settings.run_dir):
        write_state(settings, STATE)
        assert read_state(settings) == STATE
    assert read_state(settings) is None


def test_a_state_of_a_former_supervisor_is_not_taken_for_the_present_one(settings):
    with supervisor_lock(settings.run_dir):
        write_state(settings, msgspec.structs.replace(STATE, pid=STATE.pid + 1))
        assert read_state(settings) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"[1]"])
def test_a_damaged_state_is_no_state(settings, content):
    with supervisor_lock(settings.run_dir):
        (settings.run_dir / FILE_NAME).write_bytes(content)
        assert read_state(settings) is None


def test_a_state_that_cannot_be_written_is_survived(tmp_path):
    settings = load(tmp_path, None)
    write_state(settings, STATE)
    assert not settings.data_dir.exists()


def test_the_addresses_and_currencies_in_use_replace_the_configured_ones(settings):
    running = as_running(settings, STATE)
    assert (running.listen, running.admin, running.store.url) == (STATE.listen, STATE.admin, STATE.store_url)
    assert {p.name: p.currency for p in running.providers} == {"minimax": None, "minimax-cn": "CNY", "openai": None}
    assert as_running(settings, None) == settings


def test_a_real_store_stays_where_it_is(tmp_path):
    settings = load(tmp_path, "store: {url: 'https://ch.example'}\n")
    assert as_running(settings, STATE).store.url == "https://ch.example"
