import pytest

from exporters import patience
from exporters.patience import MAX_PATIENCE_S, Patience
from exporters.recorder.ports import SinkUnavailableError


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(patience.time, "monotonic", lambda: now[0])
    return now


def test_nobody_has_to_wait_who_was_not_asked_to(clock):
    Patience("http://r").check()


def test_a_receiver_is_left_alone_for_as_long_as_it_asked(clock):
    waiting = Patience("http://r")
    waiting.wait(5.0)
    clock[0] += 4.9
    with pytest.raises(SinkUnavailableError, match="http://r has asked for time"):
        waiting.check()
    clock[0] += 0.2
    waiting.check()


@pytest.mark.parametrize(("asked_s", "given_s"), [(1e9, MAX_PATIENCE_S), (-5.0, 0.0)])
def test_what_is_asked_for_has_bounds(clock, asked_s, given_s):
    waiting = Patience("http://r")
    waiting.wait(asked_s)
    clock[0] += given_s
    waiting.check()
