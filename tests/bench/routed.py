"""`make bench-routes`: what a route adds to a call, in CPU time of a worker's whole walk, in one process.

The same calls go through handlers with no route, with one that is for other calls, and with routes whose first target is
well; batches alternate. As with policies, sockets are left out and the journal is not. A call with a route opens with a
longer line in the journal (the attempt that begins), which is counted.
"""

import argparse
import gc
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import uvloop

from policies.compiled import CompiledPolicies
from policies.conditions import Condition, Match
from policies.routes_compiled import Route, RouteTarget, Routing
from tests.bench.governed import Cost, Walk, requests, whole_answer

NONE = "no route"
ONE = "one healthy target"
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"gpt-4.1-mini-2025-04-14",'
    b'"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
)
_LAST = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"gpt-4.1-mini-2025-04-14",'
    b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":219,"completion_tokens":20,"total_tokens":239}}\n\ndata: [DONE]\n\n'
)
_EVENTS = 20
SETTLING = 200
"""Calls before each batch that do not count: the interpreter adapts its code to what it runs, and a worker whose calls
have routes is not made to forget it each second."""


def answers() -> dict[str, bytes]:
    """What the provider says, by the kind of answer."""
    events = _EVENT * _EVENTS + _LAST
    return {"whole": whole_answer(), "stream": _STREAM_HEAD + b"%x\r\n%b\r\n0\r\n\r\n" % (len(events), events)}


def routings() -> dict[str, CompiledPolicies | None]:
    """What is compared, by name."""
    nobody = Match(conditions=(Condition(field="team", values=("nobody",)),))
    first = RouteTarget(id="openai/*", provider="openai")
    second = RouteTarget(id="openai/other", provider="openai", model="other", tier=1)
    return {
        NONE: CompiledPolicies(hash="none"),
        "a route for other calls": _policies(Route(name="r", targets=(first,), match=nobody)),
        ONE: _policies(Route(name="r", targets=(first,))),
        "two targets, both well": _policies(Route(name="r", targets=(first, second))),
    }


def _policies(route: Route) -> CompiledPolicies:
    return CompiledPolicies(routing=Routing(routes=(route,)), hash="routes")


async def measure(batches: int) -> dict[str, dict[str, list[Cost]]]:
    """What calls cost, batch by batch, by kind of answer and by what was measured."""
    calls = requests()
    found: dict[str, dict[str, list[Cost]]] = {}
    with tempfile.TemporaryDirectory(prefix="taximeter-bench-") as name:
        for kind, answer in answers().items():
            walks = {
                what: Walk(Path(name) / f"{kind}{number}", policies, answer=answer)
                for number, (what, policies) in enumerate(routings().items())
            }
            for walk in walks.values():
                await walk.run(calls)
            costs: dict[str, list[Cost]] = {what: [] for what in walks}
            for _ in range(batches):
                for what, walk in walks.items():
                    await walk.run(calls[:SETTLING])
                    costs[what].append(await walk.run(calls))
            for walk in walks.values():
                await walk.close()
            found[kind] = costs
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="make bench-routes", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--batches", type=int, default=25, help="of 2000 calls each, of each kind (25)")
    options = parser.parse_args(arguments)
    gc.set_threshold(50_000, 20, 100)  # as a worker does
    found = uvloop.run(measure(options.batches))
    print("CPU of a call in us, of the loop's thread; added: median of what it is over no route, round by round")  # noqa: T201
    print(f"{'':34}{'least':>8}{'median':>8}{'added':>8}{'ratio':>8}")  # noqa: T201
    for kind, costs in found.items():
        base = [cost.loop for cost in costs[NONE]]
        for what, batches in costs.items():
            loop = [cost.loop for cost in batches]
            added = median(one - other for one, other in zip(loop, base, strict=True))
            ratio = median(one / other for one, other in zip(loop, base, strict=True))
            print(f"{kind + ': ' + what:34}{min(loop):8.1f}{median(loop):8.1f}{added:8.1f}{ratio:8.3f}")  # noqa: T201


if __name__ == "__main__":
    main()
