"""The imaginary company of the demo: its teams, their apps, and whom each of them calls."""

from typing import Any

import msgspec


class App(msgspec.Struct, frozen=True, kw_only=True):
    """One app of the company: who it belongs to, whom it calls and how."""

    team: str
    project: str
    users: tuple[str, ...]
    tags: str = ""
    path: str
    """Below the proxy's URL: provider, then the provider's own path."""
    model: str
    weight: int
    """Share of the calls, relative to the other apps."""
    streaming: float
    """Share of its calls that ask for a stream."""
    prompt_words: tuple[int, int]
    output_tokens: tuple[int, int]
    ttfb_ms: tuple[int, int]
    pace_ms: int
    """Time per token: the speed of the imaginary model."""
    offers_tools: bool = False
    extra: dict[str, Any] = {}
    """Further members of its request bodies."""


_OPENAI = "/openai/v1/chat/completions"
_CLAUDE = "/anthropic/v1/messages"

APPS: tuple[App, ...] = (
    App(
        team="support",
        project="helpdesk-bot",
        users=("ana", "bo", "chidi", "dora"),
        tags="env=prod,channel=web",
        path=_OPENAI,
        model="gpt-4.1-mini",
        weight=22,
        streaming=0.9,
        prompt_words=(60, 300),
        output_tokens=(40, 180),
        ttfb_ms=(180, 420),
        pace_ms=9,
        extra={"stream_options": {"include_usage": True}},
    ),
    App(
        team="support",
        project="triage",
        users=("svc-triage",),
        tags="env=prod,job=nightly",
        path="/minimax/v1/chat/completions",
        model="MiniMax-M3.1-Flash",
        weight=16,
        streaming=0.0,
        prompt_words=(120, 600),
        output_tokens=(8, 30),
        ttfb_ms=(250, 600),
        pace_ms=6,
        extra={"thinking": {"type": "disabled"}},
    ),
    App(
        team="search",
        project="answers",
        users=("svc-answers",),
        tags="env=prod",
        path=_CLAUDE,
        model="claude-haiku-4-5",
        weight=14,
        streaming=0.7,
        prompt_words=(900, 2500),
        output_tokens=(80, 240),
        ttfb_ms=(350, 800),
        pace_ms=8,
    ),
    App(
        team="platform",
        project="code-review",
        users=("ed", "fatima", "gus"),
        tags="env=ci",
        path=_CLAUDE,
        model="claude-sonnet-4-5",
        weight=9,
        streaming=1.0,
        prompt_words=(600, 1800),
        output_tokens=(150, 500),
        ttfb_ms=(600, 1400),
        pace_ms=14,
        offers_tools=True,
        extra={"thinking": {"type": "enabled", "budget_tokens": 2048}},
    ),
    App(
        team="platform",
        project="ops-agent",
        users=("hana", "ivan"),
        tags="env=prod",
        path=_OPENAI,
        model="gpt-5-mini",
        weight=8,
        streaming=0.5,
        prompt_words=(200, 900),
        output_tokens=(60, 260),
        ttfb_ms=(700, 1800),
        pace_ms=11,
        offers_tools=True,
    ),
    App(
        team="growth",
        project="copywriter",
        users=("jo", "kim"),
        tags="env=prod,campaign=autumn",
        path="/minimax/v1/chat/completions",
        model="MiniMax-M3",
        weight=10,
        streaming=0.8,
        prompt_words=(80, 200),
        output_tokens=(200, 500),
        ttfb_ms=(500, 1200),
        pace_ms=12,
        extra={"reasoning_split": True},
    ),
    App(
        team="growth",
        project="translations",
        users=("svc-translate",),
        path="/minimax/anthropic/v1/messages",
        model="MiniMax-M2.7",
        weight=7,
        streaming=0.4,
        prompt_words=(150, 400),
        output_tokens=(120, 320),
        ttfb_ms=(400, 900),
        pace_ms=10,
    ),
    App(
        team="games",
        project="tavern",
        users=("lena", "mo", "nils", "ola", "pia"),
        tags="env=beta",
        path="/minimax/v1/text/chatcompletion_v2",
        model="M2-her",
        weight=10,
        streaming=0.6,
        prompt_words=(40, 160),
        output_tokens=(40, 120),
        ttfb_ms=(300, 700),
        pace_ms=15,
    ),
    App(
        team="growth",
        project="shanghai-shop",
        users=("wei", "yun"),
        tags="env=prod,region=cn",
        path="/minimax-cn/v1/chat/completions",
        model="MiniMax-M2.5",
        weight=6,
        streaming=0.7,
        prompt_words=(60, 240),
        output_tokens=(60, 200),
        ttfb_ms=(350, 800),
        pace_ms=9,
    ),
    App(
        team="research",
        project="batch-labels",
        users=("svc-labels",),
        tags="env=lab",
        path="/deepseek/chat/completions",
        model="deepseek-chat",
        weight=8,
        streaming=0.1,
        prompt_words=(200, 700),
        output_tokens=(10, 60),
        ttfb_ms=(300, 1100),
        pace_ms=13,
    ),
    App(
        team="research",
        project="shootout",
        users=("quinn",),
        tags="env=lab",
        path="/openrouter/api/v1/chat/completions",
        model="openai/gpt-4o-mini",
        weight=5,
        streaming=0.5,
        prompt_words=(50, 400),
        output_tokens=(50, 200),
        ttfb_ms=(250, 900),
        pace_ms=10,
    ),
    App(
        team="research",
        project="prototype",
        users=("quinn", "rosa"),
        tags="env=lab",
        path=_OPENAI,
        # On no price list, on purpose: the reports show how they treat what they cannot price.
        model="house-prototype-1",
        weight=2,
        streaming=0.5,
        prompt_words=(50, 200),
        output_tokens=(50, 200),
        ttfb_ms=(200, 500),
        pace_ms=10,
    ),
)
"""The company."""
