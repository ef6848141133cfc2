"""Every piece of configuration and every policy that a page shows is taken as it stands by the real loaders."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from policies.load import load_policies
from policies.schema import PolicyFile
from proxy.config.load import load_settings
from proxy.config.problems import ConfigError
from proxy.config.schema import Config
from proxy.providers import PROVIDERS
from tests.fakes.markdown import Block, blocks

ROOT = Path(__file__).parents[2]
ANY_SECRET = "0123456789abcdef" * 4
"""Long enough for whatever it stands for."""


class Everything(Mapping[str, str]):
    """An environment in which every variable that is asked for is set."""

    def __getitem__(self, name: str) -> str:
        if name.isupper() and not name.startswith(("OTEL_", "AZURE_")):
            return "https://hooks.example.com/x" if name.endswith("_URL") else ANY_SECRET
        raise KeyError(name)

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0


def shown() -> list[tuple[str, Block, dict]]:
    """Every block of YAML that is a mapping, under a name for the test."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    return [
        (f"{page}:{block.line}", block, read)
        for page in sorted(listed.stdout.splitlines())
        if (ROOT / page).is_file()
        for block in blocks(ROOT / page, "yaml")
        if isinstance(read := yaml.safe_load(block.text), dict)
    ]


def is_policy(name: str, keys: set[str]) -> bool:
    """`limits` and `keys` are words of both languages: the page tells."""
    of_policies = name.startswith(("docs/policies.md", "docs/routes.md", "docs/cookbook.md"))
    return keys <= set(PolicyFile.model_fields) and ("version" in keys or of_policies)


ALL = shown()
POLICIES = {name: block for name, block, read in ALL if is_policy(name, set(read))}
CONFIGS = {name: block for name, block, read in ALL if name not in POLICIES and set(read) <= set(Config.model_fields)}


def problems(text: str, folder: Path) -> list[str]:
    """What is wrong with a configuration, but for files that are on the reader's own machine alone."""
    file = folder / "taximeter.yaml"
    file.write_text(text)
    try:
        load_settings(file, env=Everything(), cwd=folder, kinds=PROVIDERS)
    except ConfigError as error:
        return [str(one) for one in error.problems if not re.search("cannot be read|no such file", one.what)]
    return []


@pytest.mark.parametrize("block", CONFIGS.values(), ids=CONFIGS)
def test_a_piece_of_configuration_is_taken(block, tmp_path):
    assert problems(block.text, tmp_path) == []


@pytest.mark.parametrize("block", POLICIES.values(), ids=POLICIES)
def test_a_policy_is_taken(block, tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(block.text if "version:" in block.text else f"version: 1\n{block.text}")
    assert load_policies([file]).files


def test_the_configuration_file_shows_no_word_that_is_none(tmp_path):
    lines = (ROOT / "taximeter.yaml").read_text().splitlines()
    # `#key:` and `#  key:` are keys, `# Words` are words. All of them at once contradict each other here and there.
    text = "\n".join(line[1:] for line in lines if re.match("#( {2,})?[a-z{-]", line))
    assert [one for one in problems(text, tmp_path) if "unknown" in one] == []


def test_there_are_some_of_both():
    assert len(CONFIGS) > 5
    assert len(POLICIES) > 15
