import os
from pathlib import Path

import pytest

from proxy.config import ConfigError, find_config, load_settings
from tests.fakes.config_files import kinds, load


def test_a_named_file_comes_before_the_environment_and_the_folder(tmp_path):
    (tmp_path / "taximeter.yaml").write_text("")
    env = {"TAXIMETER_CONFIG": "/etc/t.yaml"}
    assert find_config(Path("x.yaml"), env=env, cwd=tmp_path) == Path("x.yaml")
    assert find_config(None, env=env, cwd=tmp_path) == Path("/etc/t.yaml")
    assert find_config(None, env={}, cwd=tmp_path) == Path("taximeter.yaml")


def test_without_any_file_the_defaults_are_taken(tmp_path):
    assert find_config(None, env={}, cwd=tmp_path) is None
    assert load(tmp_path, None).config_file is None


def test_the_settings_know_their_file(tmp_path):
    assert load(tmp_path, "").config_file == str(tmp_path / "taximeter.yaml")


def problem(file, tmp_path):
    with pytest.raises(ConfigError) as raised:
        load_settings(file, env={}, cwd=tmp_path, kinds=kinds())
    return str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert problem(Path("none.yaml"), tmp_path) == "none.yaml: cannot be read: no such file or directory"


def test_a_folder_is_no_file(tmp_path):
    assert problem(tmp_path, tmp_path).endswith("cannot be read: is a directory")


def test_bytes_that_are_no_text_have_a_line(tmp_path):
    (tmp_path / "t.yaml").write_bytes(b"listen: 1\nadmin: \xff\n")
    assert problem(Path("t.yaml"), tmp_path) == "t.yaml:2: is not UTF-8 text"


def test_a_file_of_megabytes_is_not_read(tmp_path):
    (tmp_path / "t.yaml").write_bytes(b"#" * (5 * 1024 * 1024))
    assert "larger than" in problem(Path("t.yaml"), tmp_path)


def test_a_byte_order_mark_is_no_error(tmp_path):
    (tmp_path / "t.yaml").write_bytes(b"\xef\xbb\xbfworkers: 3\n")
    assert load_settings(Path("t.yaml"), env={}, cwd=tmp_path, kinds=kinds()).workers == 3


def test_every_mistake_of_a_file_is_reported_at_once_and_no_value_of_it(tmp_path):
    secret = "sk-do-not-print"
    text = f"""\
listen: {secret}
admn: 1
providers:
  minimax:
    base_ulr: https://{secret}
    api_key: {secret}
    kind: {secret}
  openai: {{api_key: 'env:NOT_THERE', base_url: 'https://u:{secret}@h'}}
store: {{password: {secret}, url: 'ftp://{secret}'}}
prices: [{secret}.yaml]
"""
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, text)
    lines = str(raised.value).splitlines()
    assert [int(line.split(":")[1]) for line in lines] == [1, 2, 5, 6, 7, 8, 8, 9, 9, 10]
    assert secret not in str(raised.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    file = tmp_path / "t.yaml"
    file.write_text("")
    file.chmod(0)
    assert "permission denied" in problem(file, tmp_path)
