import stat

import pytest

from proxy.config.credentials import (
    CredentialsError,
    credentials_file,
    with_kept_credentials,
    with_new_credentials,
)
from tests.fakes.config_files import load


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_makes_credentials_that_stay(tmp_path):
    settings = load(tmp_path, None)
    first = with_new_credentials(settings)
    assert first.store.user == "taximeter"
    assert len(first.store.password) >= 20
    assert first.store.reader_password != first.store.password
    assert with_new_credentials(settings) == first
    assert with_kept_credentials(settings) == first


def test_only_the_owner_may_read_them(tmp_path):
    settings = load(tmp_path, None)
    with_new_credentials(settings)
    assert mode(credentials_file(settings)) == 0o600
    assert mode(settings.run_dir) == 0o700
    assert mode(settings.data_dir) == 0o700


def test_configured_ones_win_and_are_kept_for_the_other_commands(tmp_path):
    with_new_credentials(load(tmp_path, None))
    configured = load(
        tmp_path, "store: {user: me, password: 'env:PW', reader: {password: 'env:RPW'}}\n", {"PW": "a", "RPW": "b"}
    )
    made = with_new_credentials(configured)
    assert (made.store.user, made.store.password, made.store.reader_password) == ("me", "a", "b")
    assert with_kept_credentials(load(tmp_path, None)).store.password == "a"


def test_looking_makes_nothing(tmp_path):
    settings = load(tmp_path, None)
    assert with_kept_credentials(settings) == settings
    assert not settings.data_dir.exists()


def test_a_real_store_has_its_own(tmp_path):
    settings = load(tmp_path, "store: {url: 'https://ch.example'}\n")
    assert with_new_credentials(settings) == settings
    assert not settings.data_dir.exists()


def test_a_damaged_file_says_what_to_do(tmp_path):
    settings = load(tmp_path, None)
    with_new_credentials(settings)
    credentials_file(settings).write_text("{")
    with pytest.raises(CredentialsError, match="remove it"):
        with_kept_credentials(settings)
