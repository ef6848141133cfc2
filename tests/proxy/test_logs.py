import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.logs import redact

PROGRAM = """
import logging, warnings
import structlog
from proxy.logs import configure
configure("worker-0")
structlog.get_logger().info("started", port=8484, path={1})
logging.getLogger("aiohttp.server").error("odd %s", "request")
logging.getLogger("chatty").info("not wanted")
logging.getLogger("urllib3.connectionpool").warning("Retrying")
warnings.warn("old")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger().exception("crashed")
"""


def log_lines(program):
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout == b""
    return [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.real
def test_every_line_is_json_whoever_logs():
    started, odd, warned, crashed = log_lines(PROGRAM)
    assert started["event"] == "started"
    assert started["process"] == "worker-0"
    assert started["level"] == "info"
    assert started["at"].endswith("Z")
    assert (odd["event"], odd["logger"]) == ("odd request", "aiohttp.server")
    assert "old" in warned["event"]
    assert "ZeroDivisionError" in crashed["exception"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("api_key", "abc"),
        ("Authorization", "x"),
        ("store_password", "x"),
        ("set-cookie", "x"),
        ("token", "x"),
        ("note", "sent sk-live-123456 there"),
        ("note", "Bearer abcdefgh"),
        ("note", "https://user:hunter22@host/"),
        ("note", "jwt eyJhbGciOiJIUzI1.eyJzdWIiOiIx.sig"),
    ],
)
def test_secrets_are_blanked(key, value):
    shown = redact(None, "info", {key: value})[key]
    assert "[redacted]" in shown
    for secret in ("abc", "123456", "hunter22", "eyJ"):
        assert secret not in shown


@pytest.mark.parametrize(("key", "value"), [("input_tokens", 5), ("event", "task-12345678 done"), ("password", "")])
def test_what_is_no_secret_stays(key, value):
    assert redact(None, "info", {key: value})[key] == value
