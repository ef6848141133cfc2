"""The audit log: a line for each change, and a torn one takes no other with it."""

import multiprocessing

import pytest

from policies import audit


def test_what_is_noted_can_be_read_in_its_order(tmp_path):
    one = audit.note(tmp_path, "key.create", "app", by="jo", team="search")
    two = audit.note(tmp_path, "key.revoke", "app", by="jo")

    assert audit.entries(tmp_path) == (one, two)
    assert one.detail == {"team": "search"}
    assert (tmp_path / audit.FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_a_log_that_never_was_is_empty(tmp_path):
    assert audit.read(tmp_path) == audit.Log((), 0)


@pytest.mark.parametrize("torn", [b'{"at_ns": 1, "by', b"\xff\xfe", b"[]\n", b'{"at_ns":1,"by":"x\xff"}\n'])
def test_a_torn_line_is_counted_and_the_next_stands_on_its_own(tmp_path, torn):
    one = audit.note(tmp_path, "a", "s", by="jo")
    with (tmp_path / audit.FILE_NAME).open("ab") as opened:
        opened.write(torn)

    two = audit.note(tmp_path, "b", "s", by="jo")

    assert audit.read(tmp_path) == audit.Log((one, two), 1)


def test_a_subject_with_a_line_break_stays_on_its_line(tmp_path):
    one = audit.note(tmp_path, "a", "x\n{}\u2028\x85y", by="jo")

    assert audit.read(tmp_path) == audit.Log((one,), 0)


def _note_many(folder, name):
    for number in range(50):
        audit.note(folder, "a", f"{name}-{number}", by=name)


@pytest.mark.real
def test_processes_that_note_at_once_take_nothing_from_each_other(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_note_many, args=(tmp_path, f"p{number}")) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    log = audit.read(tmp_path)
    assert (len(log.entries), log.unreadable) == (150, 0)


def test_a_log_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / audit.FILE_NAME).mkdir()

    with pytest.raises(OSError, match="directory"):
        audit.note(tmp_path, "a", "s", by="jo")
