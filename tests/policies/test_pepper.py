"""The pepper is made once, and never made again in place of one that is damaged."""

import threading

import pytest

from policies.pepper import FILE_NAME, PepperError, kept_pepper, pepper_of


def test_it_is_made_once_and_for_its_owner_alone(tmp_path):
    made = kept_pepper(tmp_path / "data")

    assert kept_pepper(tmp_path / "data") == made
    assert len(bytes.fromhex(made)) == 32
    assert (tmp_path / "data" / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == [FILE_NAME]


def test_of_many_that_make_one_at_a_time_all_have_the_same(tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(kept_pepper(tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(found)) == 1


@pytest.mark.parametrize("damaged", [b"", b"abc", b"\xff" * 64, b"g" * 64])
def test_a_damaged_one_is_told_and_left(tmp_path, damaged):
    (tmp_path / FILE_NAME).write_bytes(damaged)

    with pytest.raises(PepperError, match="damaged"):
        kept_pepper(tmp_path)

    assert (tmp_path / FILE_NAME).read_bytes() == damaged


def test_that_of_the_configuration_wins_and_none_is_made(tmp_path):
    assert pepper_of("ab" * 32, tmp_path) == "ab" * 32
    assert list(tmp_path.iterdir()) == []
