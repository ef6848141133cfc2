from hypothesis import given
from hypothesis import strategies as st

from exporters.moving.slices import MOST_BYTES, MOST_ROWS, Digest, Slice, differing, rows_at_once, slices_of

HOURS = st.dictionaries(st.integers(0, 10**6).map(lambda n: n * 3600), st.integers(1, 10**6), max_size=30)


@given(HOURS, st.integers(1, 10**5))
def test_every_hour_is_in_one_piece_or_in_all_its_parts(hours, at_once):
    whole, shares = [], {}
    for piece in slices_of(hours, at_once):
        if piece.parts == 1:
            whole += piece.hours_s
        else:
            shares.setdefault((piece.hours_s, piece.parts), []).append(piece.part)
    assert sorted([*whole, *(hour for (of, _) in shares for hour in of)]) == sorted(hours)
    assert all(parts == list(range(number)) for (_, number), parts in shares.items())


@given(HOURS, st.integers(1, 10**5))
def test_no_piece_has_more_rows_than_go_at_once(hours, at_once):
    for piece in slices_of(hours, at_once):
        assert sum(hours[hour_s] for hour_s in piece.hours_s) <= at_once * piece.parts


@given(HOURS, st.integers(1, 10**5))
def test_the_pieces_are_the_same_however_often_they_are_asked_for(hours, at_once):
    assert slices_of(hours, at_once) == slices_of(dict(reversed(hours.items())), at_once)


def test_a_piece_says_what_it_selects():
    assert Slice((7200,)).condition() == "toStartOfHour(started_at) IN (toDateTime(7200, 'UTC'))"
    assert Slice((7200,), 1, 3).condition().endswith(" AND cityHash64(call_id) % 3 = 1")


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(1, 10**6))
def test_a_token_stands_for_exactly_these_rows(total, xor, rows):
    piece = Slice((7200, 10800))
    token = piece.token("calls", Digest(rows, total, xor))
    assert token == piece.token("calls", Digest(rows, total, xor))
    others = [
        piece.token("attempts", Digest(rows, total, xor)),
        piece.token("calls", Digest(rows + 1, total, xor)),
        piece.token("calls", Digest(rows, total ^ 1, xor)),
        piece.token("calls", Digest(rows, total, xor ^ 1)),
        Slice((7200,)).token("calls", Digest(rows, total, xor)),
        Slice((7200, 10800), 1, 2).token("calls", Digest(rows, total, xor)),
    ]
    assert len({token, *others}) == 7


@given(st.integers(0, 10**9), st.integers(0, 10**12))
def test_a_piece_is_bounded_in_rows_and_in_bytes(rows, size_bytes):
    at_once = rows_at_once(rows, size_bytes)
    assert 1 <= at_once <= MOST_ROWS
    if rows and at_once > 1:
        assert at_once * size_bytes / rows <= MOST_BYTES * 1.001


def test_hours_differ_in_any_figure_and_only_those_of_the_source_count():
    a, b = Digest(2, 5, 6), Digest(2, 5, 7)
    here, there = {3: a, 1: a, 2: a, 5: a}, {1: a, 2: b, 4: a, 5: Digest(9, 5, 6)}
    assert differing(here, there) == {2: 2, 3: 2, 5: 9}
    assert list(differing(here, there)) == [2, 3, 5]
