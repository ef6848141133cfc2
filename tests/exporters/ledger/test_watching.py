"""The regular comparison cries wolf at nothing that is under way, and tells what stays."""

from exporters.alerts.looking import drift_look
from exporters.alerts.memory import Memory
from exporters.ledger.comparing import Comparison, Line
from exporters.ledger.watching import Watch, drift_families
from policies.compiled import Budget, Window
from policies.ledger.books import BooksUnavailableError

NOW_NS = 1_763_985_600 * 10**9
BUDGETS = {"budget:b": Budget(name="b", policy="budget:b", unit="USD", limit=5, window=Window(shape="total"))}


def compared(drift, *behind):
    line = Line(counter="budget:b", unit="USD", ledger=10**9 + drift, store=10**9)
    return Comparison(lines=(line,), behind=behind, left=0)


def watch_of(*found):
    each = iter(found)

    def compare():
        one = next(each)
        if isinstance(one, Exception):
            raise one
        return one

    return Watch(compare, lambda: NOW_NS)


def looked(*found):
    watch = watch_of(*found)
    for _ in found:
        watch.look()
    return watch.found


def test_a_drift_is_told_when_two_comparisons_in_a_row_find_it():
    assert looked(compared(5)).drifting == ()
    assert [line.drift for line in looked(compared(5), compared(6)).drifting] == [6]
    assert looked(compared(5), compared(0), compared(5)).drifting == ()
    assert looked(compared(5), compared(-5)).drifting == ()


def test_what_the_store_does_not_have_yet_is_no_drift():
    found = looked(compared(5, "w1"), compared(5, "w1"))
    assert (found.drifting, found.behind) == ((), ("w1",))
    assert looked(compared(-5, "w1"), compared(-5, "w1")).drifting


def test_a_comparison_that_cannot_be_done_leaves_what_was_found():
    found = looked(compared(5), compared(5), BooksUnavailableError("gone"))
    assert (len(found.drifting), found.error) == (1, "gone")
    assert looked(RuntimeError("ours")).error == "a mistake: RuntimeError"
    assert looked(None) is None


def test_the_metric_has_a_figure_for_each_budget():
    def told(found):
        return {
            (family.name, *sample.labels.values()): sample.value
            for family in drift_families(found, BUDGETS)
            for sample in family.samples
        }

    assert told(None) == {}
    assert told(looked(compared(0)))["taximeter_budget_drift", "b", "USD"] == 0
    assert told(looked(compared(5), compared(5)))["taximeter_budget_drift", "b", "USD"] == 5e-9


def test_a_drift_is_an_alert_until_it_is_gone(tmp_path):
    memory = Memory(tmp_path / "alerts.sqlite", {"ops": "info"}, None)
    watch = watch_of(compared(5), compared(5), compared(0))
    look = drift_look(lambda: watch.found)

    def open_after_a_look():
        memory.look(look.kinds, list(look.see(memory, NOW_NS)), NOW_NS)
        return memory.open_keys("drift")

    assert open_after_a_look() == set()
    watch.look()
    watch.look()
    assert open_after_a_look() == {"drift:budget:b"}
    (sighting,) = look.see(memory, NOW_NS)
    assert sighting.describe().fields["drift"] == "0.000000005"
    found, watch.found = watch.found, None
    assert open_after_a_look() == {"drift:budget:b"}  # a restart: nobody knows yet
    watch.found = found
    watch.look()
    assert open_after_a_look() == set()
    memory.close()
