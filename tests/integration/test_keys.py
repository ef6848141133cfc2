"""As a team would: a key, a cap of five dollars a month, and the official SDKs, against a whole Taximeter."""

import asyncio
import json
import time
from pathlib import Path

import anthropic
import openai
import pytest

from tests.fakes.running_sandbox import running_sandbox
from tests.fakes.whole import CONFIG, serving, taximeter

pytestmark = pytest.mark.real

OPERATOR = "sk-operator-0123456789"
HI = [{"role": "user", "content": "Where is the taxi?"}]
PROVIDERS = """\
providers:
  openai: {{base_url: "{0}/openai", api_key: file:provider-key}}
  anthropic: {{base_url: "{0}/anthropic", api_key: file:provider-key}}
"""
POLICY = "version: 1\nbudgets:\n  team-search: {{match: {{team: search}}, limit: {} USD, window: month}}\n"
DEAR = {"model": "gpt-4", "messages": HI, "max_tokens": 8_000, "n": 16}
"""Up to 7.68 dollars for its output."""
CHEAP = {"model": "gpt-4o-mini", "messages": HI, "max_tokens": 100}
_PATIENCE_S = 15.0
"""Two seconds are promised; machines that run tests do more than one thing at a time."""


async def made(folder: Path, name: str, *options: str) -> str:
    status, output, errors = await taximeter(folder, "keys", "create", name, *options, "--format", "json")
    assert status == 0, errors
    return json.loads(output)["key"]


async def until(what) -> float:
    """How long it took until it came true."""
    began = time.monotonic()
    while not await what():
        assert time.monotonic() - began < _PATIENCE_S
        await asyncio.sleep(0.05)
    return time.monotonic() - began


def refused_as(client, kind, **asked):
    async def ask() -> bool:
        try:
            await client.chat.completions.create(**asked)
        except kind:
            return True
        except openai.APIStatusError:
            return False
        return False

    return ask


def passes(client, **asked):
    async def ask() -> bool:
        try:
            await client.chat.completions.create(**asked)
        except openai.APIStatusError:
            return False
        return True

    return ask


async def test_a_team_gets_a_key_and_a_cap_that_hold(tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/teams.yaml").write_text(POLICY.format(5))
    (tmp_path / "provider-key").write_text(OPERATOR)
    with running_sandbox() as sandbox:
        early = await made(tmp_path, "search-app", "--team", "search")
        async with serving(tmp_path, config=CONFIG + PROVIDERS.format(sandbox)) as whole:
            app = openai.AsyncOpenAI(base_url=f"{whole.url}/openai/v1", api_key=early, max_retries=0)

            # The key works, and the cap holds: what would pass it is refused before it costs anything.
            assert (await app.chat.completions.create(**CHEAP)).usage.total_tokens > 0
            with pytest.raises(openai.RateLimitError) as refused:
                await app.chat.completions.create(**DEAR)
            assert refused.value.code == "budget_exceeded"
            assert "team-search" in refused.value.message
            assert refused.value.response.headers["x-should-retry"] == "false"
            assert int(refused.value.response.headers["retry-after"]) > 0

            # Another limit, without a restart; and one with a mistake, which changes nothing.
            (tmp_path / "policies/teams.yaml").write_text(POLICY.format(5000))
            await until(passes(app, **DEAR))
            (tmp_path / "policies/teams.yaml").write_text(POLICY.format("lots of"))
            status, output, _ = await taximeter(tmp_path, "keys", "list", "--format", "json")
            assert (status, json.loads(output)[0]["state"]) == (0, "good")
            assert await passes(app, **DEAR)()

            # A key that is made while it runs, and may not do everything.
            late = await made(tmp_path, "narrow", "--model", "gpt-4o-mini", "--provider", "openai")
            narrow = openai.AsyncOpenAI(base_url=f"{whole.url}/openai/v1", api_key=late, max_retries=0)
            await until(passes(narrow, **CHEAP))
            with pytest.raises(openai.PermissionDeniedError, match="may not use the model gpt-4"):
                await narrow.chat.completions.create(**{**DEAR, "n": 1})
            claude = anthropic.AsyncAnthropic(base_url=f"{whole.url}/anthropic", api_key=late, max_retries=0)
            with pytest.raises(anthropic.PermissionDeniedError, match="may not use the provider anthropic"):
                await claude.messages.create(model="claude-haiku-4-5", max_tokens=10, messages=HI)

            # Whatever mistakes the policies have, a key that is revoked is refused, on an open connection too.
            status, output, errors = await taximeter(tmp_path, "keys", "revoke", "search-app")
            assert status == 0, errors
            await until(refused_as(app, openai.AuthenticationError, **CHEAP))
            with pytest.raises(openai.AuthenticationError, match="was revoked"):
                await app.chat.completions.create(**CHEAP)
            wrong = anthropic.AsyncAnthropic(base_url=f"{whole.url}/anthropic", api_key="tm-nobody", max_retries=0)
            with pytest.raises(anthropic.AuthenticationError, match="not known"):
                await wrong.messages.create(model="claude-haiku-4-5", max_tokens=10, messages=HI)

            await until(lambda: used(tmp_path, "search-app"))
        _, log, _ = await taximeter(tmp_path, "audit", "--format", "json")
    actions = [(one["action"], one["subject"]) for one in json.loads(log) if one["action"].startswith("key")]
    assert actions == [("key.create", "search-app"), ("key.create", "narrow"), ("key.revoke", "search-app")]
    assert_kept_nowhere(tmp_path / "data", early, late, OPERATOR)


async def used(folder: Path, name: str) -> bool:
    _, output, _ = await taximeter(folder, "keys", "list", "--format", "json")
    return any(one["name"] == name and one["last_used"] for one in json.loads(output))


def assert_kept_nowhere(folder: Path, *secrets: str) -> None:
    """No file of the data folder holds any of these."""
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(secret.encode() in data for secret in secrets), path
