"""The Python snippets of docs/quickstart.md run as they stand, through a real proxy to the sandbox."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.settings import ProviderSettings
from tests.fakes.markdown import blocks
from tests.fakes.proxy_process import proxy_process
from tests.fakes.running_sandbox import running_sandbox

PAGE = Path(__file__).parents[2] / "docs" / "quickstart.md"
SHOWN = "http://127.0.0.1:8484"
OURS = ("import openai", "import anthropic")
SNIPPETS = [block for block in blocks(PAGE, "python") if any(word in block.text.splitlines() for word in OURS)]
KEYS = {"OPENAI_API_KEY": "sk-any", "ANTHROPIC_API_KEY": "sk-ant-any", "MINIMAX_API_KEY": "any"}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    with running_sandbox() as sandbox:
        providers = tuple(
            ProviderSettings(name=name, kind=name, base_url=f"{sandbox}/{name}")
            for name in ("openai", "anthropic", "minimax")
        )
        with proxy_process(providers, tmp_path_factory.mktemp("proxy")) as url:
            yield url


def test_there_is_one_for_each_way_of_each_sdk():
    texts = [block.text for block in SNIPPETS]
    for words in (
        ("OpenAI(",),
        ("stream=True",),
        ("AsyncOpenAI",),
        ("Anthropic(",),
        (".stream(",),
        ("AsyncAnthropic",),
    ):
        assert any(all(word in text for word in words) for text in texts), words


@pytest.mark.real
@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda block: f"line {block.line}")
def test_a_snippet_runs_as_it_stands_and_prints_an_answer(proxy, snippet):
    assert SHOWN in snippet.text
    ran = subprocess.run(
        [sys.executable, "-c", snippet.text.replace(SHOWN, proxy)],
        env=os.environ | KEYS,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.split()) > 3
