import os
import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from proxy.config.load import find_config, load_settings
from proxy.config.problems import ConfigError
from proxy.config.schema import Config, Section
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


EXAMPLE = Path(__file__).parents[3] / "taximeter.yaml"


def uncommented():
    """The example with everything in it switched on: prose has one space behind its `#`, keys have none or several."""
    lines = EXAMPLE.read_text().splitlines()
    return "\n".join(re.sub(r"^#(?! \S)", "", line) for line in lines)


def test_the_example_as_it_stands_is_the_defaults(tmp_path):
    as_it_stands, defaults = load(tmp_path, EXAMPLE.read_text()), load(tmp_path, None)
    assert msgspec.structs.replace(as_it_stands, config_file=None) == defaults


def test_everything_in_the_example_can_be_switched_on(tmp_path):
    names = re.findall(r"env:(\w+)", uncommented())
    text = re.sub(r"  (listen: 127.0.0.1:8486|max_memory_bytes.*|max_queries.*)\n", "", uncommented()).replace(
        "openai_compatible", "openai"
    )
    settings = load(tmp_path, text, dict.fromkeys(names, "a" * 64))
    assert [p.name for p in settings.providers][-1] == "my-vllm"
    assert settings.store.url == "https://clickhouse.example.com:8443"


def test_the_example_names_every_key():
    def keys(section):
        for name, field in section.model_fields.items():
            yield name
            inner = get_args(field.annotation)[-1] if get_args(field.annotation) else field.annotation
            if isinstance(inner, type) and issubclass(inner, Section):
                yield from keys(inner)

    example = uncommented()
    missing = {key for key in keys(Config) if not re.search(rf"\b{key}:", example)}
    # They stand beside verify, and name files that the example does not have.
    assert missing == {"ca_file", "cert_file", "key_file"}
