"""Running one scenario of the SDK comparison, and keeping all that the app can see of it."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx2
import openai

from tests.fakes.sdk_scenarios import PACE, Raw, Scenario

HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
"""Fields that belong to one connection; see RFC 9110, section 7.6.1."""
LIMIT_S = 10.0

# The clients below verify nothing: there is no TLS here, and loading the trusted certificates would take most of the time.


@dataclass
class Seen:
    """All that an app can see of one scenario."""

    result: Any = None
    chunks: list[Any] = field(default_factory=list)
    error: Any = None
    exchanges: list[Any] = field(default_factory=list)
    body: bytes = b""
    call_ids: list[str | None] = field(default_factory=list)
    """What the proxy adds; not compared, but looked for."""

    def note(self, response: httpx2.Response) -> None:
        """Keep the head of an exchange."""
        self.exchanges.append((response.http_version, response.status_code, visible(response.headers)))
        self.call_ids.append(response.headers.get("x-taximeter-call-id"))

    @contextlib.contextmanager
    def catching(self) -> Iterator[None]:
        """Keep the exception that ends a scenario, with all that an app can read from it."""
        try:
            yield
        except (TypeError, AttributeError):
            # A scenario that cannot even be asked would be the same on both sides.
            raise
        except Exception as error:  # noqa: BLE001 - whatever an SDK raises is what is compared
            told = ("status_code", "body", "code", "param", "type", "request_id")
            self.error = (type(error), str(error), {name: getattr(error, name, None) for name in told})

    def compared(self) -> dict[str, Any]:
        """What has to be the same with and without the proxy."""
        return {
            "result": self.result,
            "chunks": self.chunks,
            "body": self.body,
            "error": self.error,
            "exchanges": self.exchanges,
        }


def visible(headers: httpx2.Headers) -> list[tuple[str, str]]:
    """Header fields in their order, less those of the connection, the date, and what the proxy adds."""
    kept = []
    for raw_name, raw_value in headers.raw:
        name = raw_name.decode().lower()
        if name not in HOP_BY_HOP and name != "date" and not name.startswith("x-taximeter-"):
            kept.append((name, raw_value.decode()))
    return kept


def dumped(value: Any) -> Any:
    """A result as plain data."""
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def method_of(client: Any, dotted: str) -> Callable[..., Any]:
    """The method of an SDK's client that a dotted path names."""
    for name in dotted.split("."):
        client = getattr(client, name)
    return client


@dataclass(frozen=True)
class Sdk:
    """How one SDK is used."""

    sync: Callable[..., Any]
    both: Callable[..., Any]
    create: str
    stream: str
    base: str
    final: str
    """The method of the stream helper that gives the whole answer."""

    def options(self, url: str, scenario: Scenario) -> dict[str, Any]:
        """Arguments of the client."""
        return {
            "base_url": url + (scenario.base or self.base),
            "api_key": scenario.key,
            "max_retries": scenario.retries,
            "default_headers": {"x-sandbox": ",".join(filter(None, (PACE, scenario.wishes)))},
        }

    def method(self, scenario: Scenario) -> str:
        """The dotted name of what is called."""
        return scenario.method or (self.stream if scenario.helper else self.create)

    def run(self, url: str, scenario: Scenario) -> Seen:
        """The scenario with the blocking client."""
        seen = Seen()
        hooks = {"response": [seen.note]}
        with (
            httpx2.Client(event_hooks=hooks, timeout=scenario.timeout_s, verify=False) as http,
            self.sync(http_client=http, **self.options(url, scenario)) as client,
            seen.catching(),
        ):
            answer = method_of(client, self.method(scenario))(**scenario.asked)
            if scenario.helper:
                with answer as stream:
                    seen.chunks.extend(dumped(event) for event in stream)
                    seen.result = dumped(getattr(stream, self.final)())
            elif scenario.asked.get("stream"):
                for chunk in answer:
                    seen.chunks.append(dumped(chunk))
                    if len(seen.chunks) == scenario.leaves_after:
                        answer.close()
                        break
            else:
                seen.result = dumped(answer)
        return seen

    async def arun(self, url: str, scenario: Scenario) -> Seen:
        """The scenario with the asynchronous client."""
        seen = Seen()

        async def note(response: httpx2.Response) -> None:
            seen.note(response)

        hooks = {"response": [note]}
        async with httpx2.AsyncClient(event_hooks=hooks, timeout=scenario.timeout_s, verify=False) as http:
            client = self.both(http_client=http, **self.options(url, scenario))
            with seen.catching():
                await self._acall(client, scenario, seen)
        return seen

    async def _acall(self, client: Any, scenario: Scenario, seen: Seen) -> None:
        answer = method_of(client, self.method(scenario))(**scenario.asked)
        if scenario.helper:
            async with answer as stream:
                async for event in stream:
                    seen.chunks.append(dumped(event))
                seen.result = dumped(await getattr(stream, self.final)())
            return
        answer = await answer
        if not scenario.asked.get("stream"):
            seen.result = dumped(answer)
            return
        async for chunk in answer:
            seen.chunks.append(dumped(chunk))
            if len(seen.chunks) == scenario.leaves_after:
                await answer.close()
                break


def run_raw(url: str, asked: Raw) -> Seen:
    """A bare request; its body is kept as it came over the wire, also when it broke off."""
    seen = Seen()
    content = asked.body if isinstance(asked.body, bytes | None) else json.dumps(asked.body).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer any", **asked.headers}
    headers["x-sandbox"] = asked.wishes if "=red" in asked.wishes else ",".join(filter(None, (PACE, asked.wishes)))
    hooks = {"response": [seen.note]}
    with (
        httpx2.Client(event_hooks=hooks, timeout=LIMIT_S, verify=False) as http,
        http.stream(asked.method, url + asked.path, content=content, headers=headers) as response,
        seen.catching(),
    ):
        for piece in response.iter_bytes() if asked.decoded else response.iter_raw():
            seen.body += piece
    return seen


OPENAI = Sdk(
    openai.OpenAI,
    openai.AsyncOpenAI,
    "chat.completions.create",
    "chat.completions.stream",
    "/openai/v1",
    "get_final_completion",
)
ANTHROPIC = Sdk(
    anthropic.Anthropic,
    anthropic.AsyncAnthropic,
    "messages.create",
    "messages.stream",
    "/anthropic",
    "get_final_message",
)
