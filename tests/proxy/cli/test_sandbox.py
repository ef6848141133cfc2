import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from proxy.cli import app

ROOT = str(Path(__file__).parents[3])


@pytest.mark.real
@pytest.mark.timeout(60)
def test_it_serves_until_a_signal():
    process = subprocess.Popen(
        [sys.executable, "-m", "proxy", "sandbox", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": ROOT},
    )
    line = process.stdout.readline()
    assert line.startswith("sandbox ready on http://127.0.0.1:")
    socket.create_connection(("127.0.0.1", int(line.rpartition(":")[2]))).close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_a_taken_port_is_said_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["sandbox", "--port", str(port)])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"cannot listen on 127.0.0.1:{port}: ")
