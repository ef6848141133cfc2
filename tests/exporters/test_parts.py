from collections import Counter

import pytest

from exporters.parts import Parts


def test_parts_that_were_taken_are_not_sent_again():
    parts, sent = Parts(), []

    def send(number, part):
        if part == "bad" and sent.count(number) == 0:
            sent.append(number)
            raise OSError
        sent.append(number)
        return Counter(taken=1)

    with pytest.raises(OSError):
        parts.send("t", ["good", "bad", "good"], send)
    assert parts.send("t", ["good", "bad", "good"], send) == {"taken": 3}
    assert sent == [0, 1, 1, 2]


def test_another_batch_begins_anew():
    parts = Parts()
    for token in ("a", "b"):
        assert parts.send(token, ["x"], lambda number, _: Counter(taken=number + 1)) == {"taken": 1}


def test_a_batch_of_nothing_counts_nothing():
    assert Parts().send("t", [], lambda *_: Counter(taken=1)) == {}
