"""The state of the policies is what the supervisor wrote, or nothing."""

import msgspec
import pytest

from proxy.policy_state import STATE_NAME, PolicyState, policies_file, policy_state
from proxy.settings import Listen, Settings, StoreSettings


@pytest.fixture
def settings(tmp_path):
    made = Settings(
        listen=Listen("127.0.0.1", 0), admin=Listen("127.0.0.1", 0),
        store=StoreSettings(url="http://127.0.0.1:1", user="", password=""), data_dir=tmp_path, workers=1, providers=(),
    )  # fmt: skip
    made.run_dir.mkdir()
    return made


def test_what_was_written_is_told(settings):
    state = PolicyState(generation=3, hash="h", files=("a.yaml",), keys=2, error="a.yaml:1: no")
    (settings.run_dir / STATE_NAME).write_bytes(msgspec.json.encode(state))

    assert policy_state(settings) == state
    assert policies_file(settings).parent == settings.run_dir


@pytest.mark.parametrize("data", [None, b"{", b"[]", b'{"generation":"x"}'])
def test_what_cannot_be_read_is_nothing(settings, data):
    if data is not None:
        (settings.run_dir / STATE_NAME).write_bytes(data)

    assert policy_state(settings) is None
