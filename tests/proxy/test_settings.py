import msgspec
import pytest

from proxy.settings import Listen, from_json, to_json
from tests.fakes.config_files import load

TEXT = "providers:\n  openai: {api_key: 'env:K'}\nstore: {password: 'env:P', reader: {password: 'env:R'}}\n"
SECRETS = {"K": "sk-secret-1", "P": "pw-secret-2", "R": "pw-secret-3"}


def test_settings_travel_as_one_line_and_arrive_equal(tmp_path):
    settings = load(tmp_path, TEXT, SECRETS)
    line = to_json(settings)
    assert b"\n" not in line
    assert from_json(line) == settings


def test_what_is_no_settings_is_refused():
    with pytest.raises(msgspec.DecodeError):
        from_json(b"{}")


def test_no_secret_shows_when_settings_are_printed(tmp_path):
    shown = repr(load(tmp_path, TEXT, SECRETS))
    assert "openai" in shown
    assert not any(secret in shown for secret in SECRETS.values())


def test_an_ipv6_address_is_bracketed_in_its_url():
    assert Listen("::1", 80).url == "http://[::1]:80"


def test_folders_lie_below_the_data_folder(tmp_path):
    settings = load(tmp_path, None)
    assert {settings.journal_dir, settings.store_dir, settings.run_dir} == {
        settings.data_dir / "journal",
        settings.data_dir / "store",
        settings.data_dir / "run",
    }
