"""The whole of `make bench-recorder`, small: it must not rot between two measurements."""

import json

import pytest

from tests.bench import recorder


@pytest.mark.real
@pytest.mark.timeout(120)
def test_a_small_run_loses_and_doubles_nothing_and_writes_every_figure(tmp_path, capsys, monkeypatch):
    # Other people's machines are no place for bars.
    monkeypatch.setattr(recorder, "MOST_CPU_US", 1e9)
    monkeypatch.setattr(recorder, "LEAST_MULTIPLE", 0.0)
    output = tmp_path / "recorder.json"
    assert recorder.main(["--backlog", "2000", "--rate", "100", "--steady", "1", "--output", str(output)]) == 0
    figures = json.loads(output.read_text())
    assert figures["wrong"] == []
    assert figures["catching_up"]["calls"] >= 1800
    assert figures["catching_up"]["cpu_us"] > 0
    assert figures["most_memory_mib"].keys() == {"store", "recorder"}
    assert "times the rate of 100 calls/s" in capsys.readouterr().out
