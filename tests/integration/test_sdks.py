"""The official SDKs see no difference between the sandbox and the proxy in front of it.

Every scenario is one call of an SDK, or one request of a bare client. It is run twice, once against the sandbox and
once through the proxy, and everything the app can see is compared: results, chunks, exceptions with all they carry,
and the status, header fields and bytes of every exchange.
"""

import pytest

from proxy.sandbox.words import NOTICE, NOTICE_HEADER
from proxy.settings import ProviderSettings
from tests.fakes.proxy_process import proxy_process
from tests.fakes.running_sandbox import running_sandbox
from tests.fakes.sdk_runs import ANTHROPIC, OPENAI, Seen, run_raw
from tests.fakes.sdk_scenarios import ANTHROPIC_SCENARIOS, OPENAI_SCENARIOS, RAW_REQUESTS

pytestmark = pytest.mark.real

PROVIDERS = ("openai", "anthropic", "minimax", "deepseek", "azure", "openrouter")
TABLE = [
    pytest.param(sdk, scenario, id=f"{name}: {scenario.name}")
    for name, sdk, scenarios in (
        ("openai", OPENAI, OPENAI_SCENARIOS),
        ("anthropic", ANTHROPIC, ANTHROPIC_SCENARIOS),
    )
    for scenario in scenarios
]


@pytest.fixture(scope="module")
def sandbox():
    with running_sandbox() as url:
        yield url


@pytest.fixture(scope="module")
def proxy(sandbox, tmp_path_factory):
    # The names lead to the same paths of the sandbox, so that a scenario has one URL below either server.
    providers = tuple(ProviderSettings(name=name, kind=name, base_url=f"{sandbox}/{name}") for name in PROVIDERS)
    with proxy_process(providers, tmp_path_factory.mktemp("proxy")) as url:
        yield url


def assert_same(direct: Seen, proxied: Seen) -> None:
    assert direct.call_ids
    assert not any(direct.call_ids), "the sandbox was to be asked directly"
    assert all(proxied.call_ids), "the call was to go through the proxy"
    assert proxied.compared() == direct.compared()


@pytest.mark.parametrize(("sdk", "scenario"), TABLE)
def test_a_blocking_sdk_sees_no_proxy(sandbox, proxy, sdk, scenario):
    assert_same(sdk.run(sandbox, scenario), sdk.run(proxy, scenario))


@pytest.mark.parametrize(("sdk", "scenario"), TABLE)
async def test_an_asynchronous_sdk_sees_no_proxy(sandbox, proxy, sdk, scenario):
    assert_same(await sdk.arun(sandbox, scenario), await sdk.arun(proxy, scenario))


@pytest.mark.parametrize("asked", [pytest.param(asked, id=asked.name) for asked in RAW_REQUESTS])
def test_a_bare_client_sees_the_same_bytes(sandbox, proxy, asked):
    assert_same(run_raw(sandbox, asked), run_raw(proxy, asked))


def test_the_proxy_leaves_the_sandboxes_own_word_on_every_answer(proxy):
    seen = run_raw(proxy, RAW_REQUESTS[0])
    assert (NOTICE_HEADER, NOTICE) in seen.exchanges[0][2]
