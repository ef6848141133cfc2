"""The whole of `make bench`, small: it must not rot between two measurements."""

import json
import shutil
import sys

import pytest

from tests.bench.run import main

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the load generator needs Linux"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="the load generator needs a C compiler"),
]


def test_a_small_run_measures_every_target_and_writes_every_figure(tmp_path, capsys):
    output = tmp_path / "bench.json"
    options = ["--rounds", "2", "--seconds", "0.3", "--only", "small", "--only", "rate", "--output", str(output)]
    assert main(options) == 0
    document = json.loads(output.read_text())
    assert document["machine"]["cores"] >= 1
    targets = {"direct", "taximeter"} | ({"nginx"} if shutil.which("nginx") else set())
    for scenario in ("small", "rate"):
        assert len(document["rounds"][scenario]) == 2
        for figures in document["rounds"][scenario]:
            assert figures.keys() == targets | {"machine"}
            for name in targets:
                assert figures[name]["calls"] > 0
                assert not any(figures[name]["failed"].values())
    assert {bar["load"] for bar in document["bars"]} == {"small", "rate"}
    shown = capsys.readouterr().out
    assert "memory of an idle worker" in shown
    assert "CPU us/call" in shown
