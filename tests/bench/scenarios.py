"""What is done to each target, and with which request."""

import json
from dataclasses import dataclass
from pathlib import Path

SMALL_BYTES = 1024
LARGE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Scenario:
    """One kind of load."""

    name: str
    title: str
    path: str
    body: str
    """Name of the request body: `small`, `large`, `stream`."""
    options: tuple[str, ...]
    """Options of the load generator."""
    connections: int


def scenarios(seconds: float, streams: int) -> tuple[Scenario, ...]:
    """Every kind of load; each round of one measures so many seconds."""
    pieces = 40
    return (
        Scenario(
            "small",
            "1 KB in, 1.5 KB out, 16 connections",
            "/v1/chat/completions?bytes=1500",
            "small",
            ("--seconds", str(seconds), "--warmup", "0.5"),
            16,
        ),
        Scenario(
            "large",
            "64 KB in, 16 KB out, 16 connections",
            "/v1/chat/completions?bytes=16384",
            "large",
            ("--seconds", str(seconds), "--warmup", "0.5"),
            16,
        ),
        Scenario(
            "rate",
            "500 calls/s, 1 KB in, 1.5 KB out",
            "/v1/chat/completions?bytes=1500",
            "small",
            ("--seconds", str(seconds * 1.5), "--warmup", "0.5", "--rate", "500"),
            128,
        ),
        Scenario(
            "streams",
            f"{streams:,} streams, a piece every 0.1 s",
            f"/v1/chat/completions?chunks={pieces}&gap_us=100000",
            "stream",
            # The starts are spread over the length of a stream, so that they go on evenly for ever.
            ("--seconds", str(seconds * 1.5), "--warmup", "4", "--ramp", "4", "--pieces", str(pieces)),
            streams,
        ),
    )


def write_bodies(folder: Path) -> dict[str, Path]:
    """The request bodies as files, by name."""
    files = {}
    for name, size, stream in (
        ("small", SMALL_BYTES, False),
        ("large", LARGE_BYTES, False),
        ("stream", SMALL_BYTES, True),
    ):
        files[name] = folder / f"{name}.json"
        files[name].write_text(_body(size, stream=stream))
    return files


def _body(size: int, *, stream: bool) -> str:
    """A chat request of exactly that many bytes."""
    request = {
        "model": "gpt-4.1-mini",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ""}],
        "temperature": 0.2,
        "max_tokens": 512,
        "stream": stream,
    }
    request["messages"][1]["content"] = "w" * (size - len(json.dumps(request)))
    return json.dumps(request)
