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
