"""The corpus of recorded-style provider traffic, for the tests that read it; a clone may be without it."""

import functools
import gzip
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import brotli

ROOT = Path(os.environ.get("TAXIMETER_WIRE") or Path(__file__).parents[2] / "../shared/wire")


class Case(NamedTuple):
    """One recorded exchange and what has to be read from it."""

    id: str
    meta: dict[str, Any]
    expected: dict[str, Any]
    request: bytes
    stored: bytes
    """The body as it came, with its content coding."""
    body: bytes
    """The body decoded."""

    @property
    def status(self):
        return self.meta["response"]["status"]

    def header(self, name):
        """A response header, empty when it is missing."""
        return self.meta["response"]["headers"].get(name, "")


@functools.cache
def cases(protocol):
    """All cases of one protocol; an empty list where there is no corpus."""
    folders = sorted(path.parent for path in ROOT.glob("*/meta.json")) if ROOT.is_dir() else []
    found = [load(folder) for folder in folders]
    return [case for case in found if case.meta["protocol"] == protocol]


@functools.cache
def load(folder):
    """Read one case."""
    meta = json.loads((folder / "meta.json").read_bytes())
    name = meta["response"]["body_file"]
    stored = (folder / name).read_bytes() if name else b""
    coding = {".gz": gzip.decompress, ".br": brotli.decompress}.get(Path(name or "").suffix, bytes)
    request = meta["request"].get("body_file")
    return Case(
        id=meta["id"],
        meta=meta,
        expected=json.loads((folder / "expected.json").read_bytes()),
        request=(folder / request).read_bytes() if request else b"",
        stored=stored,
        body=coding(stored),
    )


def differences(expected, facts):
    """What of `facts` (by path, e.g. `usage.input_tokens`) is neither as expected nor otherwise accepted."""
    accepted = expected.get("accept", {})
    found = []
    for path, seen in facts.items():
        wanted: Any = expected
        for step in path.split("."):
            wanted = wanted.get(step) if isinstance(wanted, dict) else None
        if seen == wanted or seen in accepted.get(path, []) or (path.split(".")[0] in accepted and wanted is None):
            continue
        if path in EQUAL_TO_ZERO and (seen or 0) == (wanted or 0):
            continue
        found.append(f"{path}: expected {wanted!r}, read {seen!r}")
    return found


EQUAL_TO_ZERO = {
    f"usage.{name}"
    for name in (
        "cached_input_tokens",
        "cache_write_tokens",
        "cache_write_5m_tokens",
        "cache_write_1h_tokens",
        "reasoning_tokens",
        "audio_input_tokens",
        "audio_output_tokens",
    )
}
"""Parts of a sum: not reported and none are the same there."""
