import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from exporters.journal.reader import add_segment, list_segments, read_segment
from exporters.recorder.segments import PricedSegments
from tests.fakes.records import attempt, call, call_id, loss, opened
from tests.fakes.sinks import FixedPrices
from tests.fakes.until import comes_true


class CountingPrices(FixedPrices):
    """Counts; with a gate it waits there for whoever tests it."""

    def __init__(self, gate=None):
        self.calls = 0
        self._gate = gate

    def price(self, attempt, call):
        self.calls += 1
        if self._gate is not None:
            self._gate.wait(10)
        return super().price(attempt, call)


@pytest.fixture
def put(tmp_path):
    (tmp_path / "w").mkdir()

    def put(number, *records):
        add_segment(tmp_path, "w", number, records)
        return list_segments(tmp_path, "w").sealed[number]

    return put


def ids(found):
    return [priced.call.call_id for priced in found.calls]


def test_every_sink_gets_the_same_calls_with_the_same_prices_and_they_are_priced_once(put):
    segment, prices = put(1, opened(1), call(1), loss(odd=1), call(2, attempt(1), attempt(2))), CountingPrices()
    segments = PricedSegments(prices, ["a", "b", "c"])
    found = [segments.get(segment, sink) for sink in ("a", "b", "c")]
    assert ids(found[0]) == [call_id(1), call_id(2)]
    assert [len(priced.prices) for priced in found[0].calls] == [1, 2]
    assert {(priced.instance, priced.segment) for priced in found[0].calls} == {("w", 1)}
    assert found[1] is found[0]
    assert found[2] is found[0]
    assert prices.calls == 3


def test_a_segment_is_let_go_when_every_sink_has_it(put):
    segment = put(1, call(1))
    segments = PricedSegments(FixedPrices(), ["a", "b"])
    segments.get(segment, "a")
    assert segments.kept_bytes == segment.path.stat().st_size
    segments.get(segment, "a")  # a second try is no second sink
    assert segments.kept_bytes > 0
    segments.get(segment, "b")
    assert segments.kept_bytes == 0


def test_a_sink_alone_keeps_nothing(put):
    segments = PricedSegments(FixedPrices(), ["a"])
    assert ids(segments.get(put(1, call(1)), "a")) == [call_id(1)]
    assert segments.kept_bytes == 0


def test_a_sink_that_is_far_behind_finds_nothing_and_reads_for_itself(put):
    written = [put(number, call(number)) for number in range(1, 11)]
    prices = CountingPrices()
    size_bytes = written[0].path.stat().st_size
    segments = PricedSegments(prices, ["fast", "slow"], max_bytes=3 * size_bytes)
    for segment in written:
        segments.get(segment, "fast")
        assert segments.kept_bytes <= 3 * size_bytes
    for number, segment in enumerate(written, 1):
        assert ids(segments.get(segment, "slow")) == [call_id(number)]
    assert prices.calls > 10
    last = put(11, call(11))
    assert segments.get(last, "slow") is segments.get(last, "fast")


def test_a_segment_larger_than_all_that_is_kept_passes(put):
    segments = PricedSegments(FixedPrices(), ["a", "b"], max_bytes=10)
    segment = put(1, call(1))
    assert [ids(segments.get(segment, sink)) for sink in ("a", "b")] == [[call_id(1)]] * 2
    assert segments.kept_bytes == 0


def test_what_the_reader_has_read_is_not_read_again(put):
    segment = put(1, call(1))
    segments = PricedSegments(FixedPrices(), ["a", "b"])
    segments.offer(segment, read_segment(segment))
    segment.path.unlink()
    assert [ids(segments.get(segment, sink)) for sink in ("a", "b")] == [[call_id(1)]] * 2
    assert segments.kept_bytes == 0


def test_what_the_reader_has_read_takes_nobody_elses_room(put):
    first, second = put(1, call(1)), put(2, call(2))
    segments = PricedSegments(FixedPrices(), ["a", "b"], max_bytes=first.path.stat().st_size)
    segments.offer(first, read_segment(first))
    segments.offer(second, read_segment(second))
    first.path.unlink()
    second.path.unlink()
    assert ids(segments.get(first, "a")) == [call_id(1)]
    with pytest.raises(FileNotFoundError):
        segments.get(second, "a")


def test_who_comes_while_a_segment_is_priced_waits_for_that_and_the_others_do_not(put):
    segment, other, gate = put(1, call(1)), put(2), threading.Event()
    prices = CountingPrices(gate)
    segments = PricedSegments(prices, ["a", "b", "c"])
    with ThreadPoolExecutor(2) as threads:
        first, second = (threads.submit(segments.get, segment, sink) for sink in ("a", "b"))
        assert comes_true(lambda: prices.calls == 1)
        assert ids(segments.get(other, "c")) == []
        assert not second.done()
        gate.set()
        assert second.result(10) is first.result(10)
    assert prices.calls == 1


def test_what_cannot_be_read_is_an_error_for_each_and_is_tried_again(put):
    segment = put(1, call(1))
    data = segment.path.read_bytes()
    segment.path.unlink()
    segments = PricedSegments(FixedPrices(), ["a", "b"])
    for sink in ("a", "b", "a"):
        with pytest.raises(FileNotFoundError):
            segments.get(segment, sink)
    segment.path.write_bytes(data)
    assert ids(segments.get(segment, "a")) == [call_id(1)]


def test_every_sink_counts_what_was_wrong_with_a_segment(put):
    segment = put(1, call(1, attempt(model="unknown")), call(2, attempt(model="explodes")), call(3))
    lines = segment.path.read_bytes().splitlines(keepends=True)
    segment.path.write_bytes(b"".join([*lines[:2], b"no record\n"]))
    segments = PricedSegments(FixedPrices(), ["a", "b"])
    counted = {"unpriced": 1, "pricing_failed": 1, "unreadable_lines": 1}
    assert [dict(segments.get(segment, sink).counts) for sink in ("a", "b")] == [counted] * 2
