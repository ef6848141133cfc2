import re
import socket
from pathlib import Path

import msgspec
import pytest

from proxy.config.load import load_settings
from proxy.providers import PROVIDERS
from proxy.runlock import supervisor_lock
from proxy.serve import ServeError, child_specs, demo_settings, pointed_at_sandbox, serve, settings_for
from proxy.settings import Listen, Settings

TEXT = """\
listen: 127.0.0.1:0
admin: 127.0.0.1:0
workers: 2
shutdown_grace: 7s
providers:
  openai: {api_key: env:KEY}
store: {listen: "127.0.0.1:0", password: env:PW, reader: {password: env:RPW}}
"""


@pytest.fixture
def settings(tmp_path) -> Settings:
    (tmp_path / "t.yaml").write_text(TEXT)
    env = {"KEY": "sk-1", "PW": "pw", "RPW": "rpw"}
    return load_settings(Path("t.yaml"), env=env, cwd=tmp_path, kinds=PROVIDERS)


def keys(settings):
    return {provider.api_key for provider in settings.providers} - {None}


def test_only_workers_get_the_keys_of_the_providers(settings):
    assert keys(settings_for(settings, "worker")) == {"sk-1"}
    for role in ("recorder", "store", "sandbox", "traffic"):
        assert keys(settings_for(settings, role)) == set()


def test_only_the_recorder_and_the_store_get_the_passwords_of_the_store(settings):
    for role in ("recorder", "store"):
        assert settings_for(settings, role).store == settings.store
    for role in ("worker", "sandbox", "traffic"):
        store = settings_for(settings, role).store
        assert (store.password, store.reader_password) == ("", "")


def test_workers_end_before_the_recorder_and_the_store_ends_last(settings):
    stages = {(spec.role, spec.slot): spec.stop_stage for spec in child_specs(settings, demo=True)}
    assert set(stages) == {
        ("worker", 0),
        ("worker", 1),
        ("recorder", 0),
        ("store", 0),
        ("sandbox", 0),
        ("traffic", 0),
    }
    assert stages["traffic", 0] < stages["worker", 0] < stages["recorder", 0] < stages["store", 0]
    assert stages["worker", 0] < stages["sandbox", 0]


def test_a_worker_may_take_the_grace_of_its_calls(settings):
    assert child_specs(settings, demo=False)[0].stop_s > 7


def test_with_a_real_store_there_is_no_store_process(settings):
    real = msgspec.structs.replace(settings, store=msgspec.structs.replace(settings.store, embedded=False))
    assert "store" not in {spec.role for spec in child_specs(real, demo=False)}


def test_the_demo_has_its_own_folder_and_no_key(settings):
    demo = demo_settings(settings)
    assert demo.data_dir == settings.data_dir / "demo"
    assert keys(demo) == set()
    assert demo.sandbox is not None


def test_the_demo_asks_nobody_but_the_sandbox_and_bills_as_the_hosts_do(settings):
    demo = pointed_at_sandbox(msgspec.structs.replace(settings, sandbox=Listen("127.0.0.1", 5)))
    assert all(p.base_url.startswith("http://127.0.0.1:5") for p in demo.providers)
    billed = {p.name: p.currency for p in demo.providers}
    assert billed["minimax-cn"] == "CNY"
    assert billed["minimax"] != "CNY"


async def refusal(settings):
    with pytest.raises(ServeError) as caught:
        await serve(settings, demo=False, announce=pytest.fail, reload=pytest.fail)
    return str(caught.value)


async def test_a_folder_in_use_is_said_with_the_holder(settings):
    settings.run_dir.mkdir(parents=True)
    with supervisor_lock(settings.run_dir):
        assert re.search(r"is in use by the taximeter process \d+", await refusal(settings))


async def test_a_taken_port_is_said_with_its_key(settings):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = Listen("127.0.0.1", taken.getsockname()[1])
        said = await refusal(msgspec.structs.replace(settings, listen=listen))
    assert f"listen: 127.0.0.1:{listen.port}: " in said


async def test_a_data_folder_that_cannot_be_made_is_said(settings, tmp_path):
    (tmp_path / "file").write_text("")
    assert "file" in await refusal(msgspec.structs.replace(settings, data_dir=tmp_path / "file" / "data"))
