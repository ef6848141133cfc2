import os
import time

from proxy.admin.usage import process_usage


def test_this_very_process_takes_memory_time_and_files():
    end_s = time.process_time() + 0.05
    while time.process_time() < end_s:
        pass
    found = process_usage(os.getpid())
    assert found.cpu_s >= 0.03
    assert found.rss_bytes > 1024 * 1024
    assert found.open_fds >= 3


def test_a_process_that_is_gone_takes_nothing():
    assert process_usage(2**22 + 1) is None


def test_a_command_may_be_called_anything(tmp_path):
    (tmp_path / "7").mkdir()
    fields = " ".join(["S", *(["0"] * 10), "200", "100", *(["0"] * 8), "5"])
    (tmp_path / "7" / "stat").write_text(f"7 (a ) (b) {fields}\n")
    found = process_usage(7, tmp_path)
    assert found.cpu_s == 300 / os.sysconf("SC_CLK_TCK")
    assert found.rss_bytes == 5 * os.sysconf("SC_PAGE_SIZE")
    assert found.open_fds is None


def test_what_is_no_stat_tells_nothing(tmp_path):
    (tmp_path / "7").mkdir()
    for text in ("", "7 (x) S", "7 (x) " + "a " * 30):
        (tmp_path / "7" / "stat").write_text(text)
        assert process_usage(7, tmp_path) is None
