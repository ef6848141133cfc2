import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import values
from reference.forms import duration, size


@pytest.mark.parametrize(
    ("seconds", "written"), [(600.0, "10m"), (86400.0, "24h"), (5400.0, "90m"), (1.0, "1s"), (0.2, "200ms"), (0, "0")]
)
def test_a_duration_is_written_in_its_largest_whole_unit(seconds, written):
    assert duration(seconds) == written


@given(st.integers(1, 30 * 86_400_000))
def test_a_duration_reads_back_as_what_it_was(milliseconds):
    assert values.duration_s(duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


@given(st.integers(1, 2**40))
def test_a_size_reads_back_as_what_it_was(size_bytes):
    written = size(size_bytes)
    assert values.size_bytes(int(written) if written.isdigit() else written) == size_bytes
