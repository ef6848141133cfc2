from exporters.journal.quarantine import Quarantine


def test_lines_are_kept_and_counted_by_reason(tmp_path):
    quarantine = Quarantine(tmp_path)
    assert quarantine.counts() == {}
    path = quarantine.put("worker-1", 3, "torn", [b'{"half'])
    quarantine.put("worker-1", 4, "torn", [b"{"])
    quarantine.put("worker-1", 4, "refused-calls", [b"{}", b"[]"], why="no such column")
    assert quarantine.counts() == {"torn": 2, "refused-calls": 2}
    assert path.read_bytes() == b'{"half\n'


def test_the_words_of_whoever_refused_stand_beside(tmp_path):
    path = Quarantine(tmp_path).put("worker-1", 4, "refused-calls", [b"{}"], why="no such \udcff column")
    assert path.with_suffix(".why").read_text() == "no such ? column"


def test_the_same_trouble_met_again_is_counted_once(tmp_path):
    quarantine = Quarantine(tmp_path)
    for _ in range(3):
        quarantine.put("worker-1", 3, "torn", [b"{"])
    assert quarantine.counts() == {"torn": 1}


def test_a_mark_outlives_the_process_until_it_is_taken_off(tmp_path):
    Quarantine(tmp_path).mark("worker-1.00000003.calls", "0-40")
    later = Quarantine(tmp_path)
    assert later.marked("worker-1.00000003.calls") == "0-40"
    assert later.marked("worker-1.00000004.calls") == ""
    later.mark("worker-1.00000003.calls", "0-40 0-20")
    assert Quarantine(tmp_path).marked("worker-1.00000003.calls") == "0-40 0-20"
    later.unmark("worker-1.00000003.calls")
    assert Quarantine(tmp_path).marked("worker-1.00000003.calls") == ""


def test_marks_are_no_lines(tmp_path):
    quarantine = Quarantine(tmp_path)
    quarantine.mark("worker-1.00000003.calls", "0-40")
    assert quarantine.counts() == {}


def test_entries_say_what_was_put_aside_when_and_why(tmp_path):
    quarantine = Quarantine(tmp_path)
    assert quarantine.entries() == []
    quarantine.put("worker-2", 1, "torn", [b"{"])
    path = quarantine.put("worker-1", 4, "refused-calls", [b"{}", b"[]"], why="no such column")
    first, second = quarantine.entries()
    assert (first.id, first.instance, first.number) == (path.stem, "worker-1", 4)
    assert (first.reason, first.lines, first.why) == ("refused-calls", 2, "no such column")
    assert first.put_at_s == path.stat().st_mtime
    assert first.read() == [b"{}", b"[]"]
    assert (second.reason, second.why) == ("torn", "")


def test_an_entry_is_found_by_its_id_or_by_a_beginning_that_no_other_has(tmp_path):
    quarantine = Quarantine(tmp_path)
    quarantine.put("w", 1, "torn", [b"{"])
    quarantine.put("w", 1, "torn", [b"{"] * 12)
    assert quarantine.entry("w.00000001.torn.1").lines == 1
    assert quarantine.entry("w.00000001.torn.12").lines == 12
    assert quarantine.entry("w.0000") is None
    assert quarantine.entry("x") is None


def test_an_entry_that_is_forgotten_leaves_nothing(tmp_path):
    quarantine = Quarantine(tmp_path)
    quarantine.put("w", 1, "torn", [b"{"], why="because")
    (entry,) = quarantine.entries()
    quarantine.forget(entry)
    quarantine.forget(entry)
    assert list((tmp_path / ".quarantine").iterdir()) == []
    assert (entry.put_at_s, entry.why) == (0.0, "")


def test_what_is_done_is_noted_and_a_torn_note_is_passed_over(tmp_path):
    quarantine = Quarantine(tmp_path)
    assert quarantine.notes() == []
    quarantine.put("w", 1, "torn", [b"{"])
    (entry,) = quarantine.entries()
    quarantine.note("dropped", entry, lines=1)
    with (tmp_path / ".quarantine" / "notes.jsonl").open("ab") as file:
        file.write(b'{"at":"20')
    (note,) = quarantine.notes()
    assert (note["done"], note["id"], note["lines"]) == ("dropped", entry.id, 1)
    assert len(quarantine.entries()) == 1
