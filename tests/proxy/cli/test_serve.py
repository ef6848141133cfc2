import os

import msgspec
import pytest

from proxy.cli.serve import banner, command_name
from proxy.config.credentials import make_private_dirs
from proxy.config.load import load_settings
from proxy.providers import PROVIDERS
from proxy.runlock import supervisor_lock
from proxy.runstate import RunState, write_state


@pytest.fixture
def settings(tmp_path):
    settings = load_settings(None, env={}, cwd=tmp_path, kinds=PROVIDERS)
    store = msgspec.structs.replace(settings.store, password="rw-pw", reader_password="ro-pw")
    return msgspec.structs.replace(settings, store=store)


def test_the_banner_has_every_address_and_the_reader_ready_to_paste(settings):
    shown = banner(settings)
    assert "http://127.0.0.1:8484\n" in shown
    assert "http://127.0.0.1:8485\n" in shown
    assert "http://reader:ro-pw@127.0.0.1:8486 " in shown
    assert str(settings.data_dir) in shown


def test_the_read_write_password_is_named_by_its_place_only(settings):
    shown = banner(settings)
    assert "rw-pw" not in shown
    assert f"user taximeter, its password stands in {settings.run_dir}/store-credentials.json" in shown


@pytest.mark.parametrize(
    ("process", "said"),
    [
        ({"state": "waiting", "why": "the folder is damaged"}, "IT DOES NOT RUN: the folder is damaged"),
        ({"state": "starting", "why": "", "deaths": 3, "last_exit": -6}, "it ended 3 times (status -6)"),
    ],
)
def test_a_store_that_does_not_run_is_told_with_the_reason(settings, process, said):
    make_private_dirs(settings)
    running = {"name": "store-0", "role": "store", **process}
    with supervisor_lock(settings.run_dir):
        state = RunState(
            pid=os.getpid(),
            version="1",
            started_at_s=0,
            config_file=None,
            listen=settings.listen,
            admin=settings.admin,
            store_url=settings.store.url,
        )
        write_state(settings, msgspec.structs.replace(state, processes=[running]))
        shown = banner(settings)
        write_state(settings, msgspec.structs.replace(state, processes=[{**running, "state": "ready"}]))
        assert "DOES NOT RUN" not in banner(settings)
    assert said in shown
    assert "wait in the journal" in shown


def test_there_is_a_line_for_each_sdk_and_provider(settings):
    shown = banner(settings)
    for line in (
        'openai.OpenAI(base_url="http://127.0.0.1:8484/openai/v1")',
        'openai.OpenAI(base_url="http://127.0.0.1:8484/minimax/v1", ',
        'anthropic.Anthropic(base_url="http://127.0.0.1:8484/anthropic")',
        'anthropic.Anthropic(base_url="http://127.0.0.1:8484/minimax/anthropic", ',
    ):
        assert line in shown


def test_providers_that_are_off_have_no_line(settings):
    none = msgspec.structs.replace(settings, providers=())
    assert "OpenAI" not in banner(none)


def test_a_real_store_is_shown_without_any_password(settings):
    store = msgspec.structs.replace(settings.store, url="https://ch.example:8443", embedded=False)
    shown = banner(msgspec.structs.replace(settings, store=store))
    assert "https://ch.example:8443  (user taximeter, database taximeter)" in shown
    assert "-pw" not in shown


def test_the_demo_says_how_its_folder_is_looked_into(settings):
    assert f"TAXIMETER_DATA_DIR={settings.data_dir} taximeter report costs" in banner(settings, demo=True)


def test_without_a_terminal_there_are_no_colours(settings):
    assert "\x1b" not in banner(settings)


def test_the_command_is_named_as_a_shell_finds_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / ".venv" / "bin" / "taximeter"
    mine.parent.mkdir(parents=True)
    mine.touch(mode=0o755)
    monkeypatch.setenv("PATH", "/nonexistent")

    assert command_name(str(mine)) == ".venv/bin/taximeter"
    assert command_name("/usr/bin/pytest") == "taximeter"
    monkeypatch.setenv("PATH", str(mine.parent))
    assert command_name(str(mine)) == "taximeter"
