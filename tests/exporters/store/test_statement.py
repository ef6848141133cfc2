"""The lexical rules: where the parts of a statement stand."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.store.statement import (
    Insert,
    from_pipe,
    identifier,
    insert_data,
    into_pipe,
    plain,
    quoted,
    selects_from_data,
    shape,
    tokens,
)

INSERTS = [
    (b"INSERT INTO t FORMAT JSONEachRow\n", b'{"a":1}', "JSONEachRow"),
    (b"insert into t format Native \r\n", b"\x01\x01FORMAT", "Native"),
    (b"INSERT INTO t (a, b) VALUES", b" (1, 'x;'), (2, 'FORMAT')", "Values"),
    (b"INSERT INTO db.`fo``rmat` (`values`, b) SETTINGS async_insert = 1 FORMAT CSV\n", b"1,2\n", "CSV"),
    (b"/* FORMAT */ INSERT INTO TABLE FUNCTION null('a UInt8') FORMAT TSV\n", b"1\n", "TSV"),
    (b"INSERT INTO values VALUES", b"(1)", "Values"),
    (b"INSERT INTO t (* EXCEPT(b)) FORMAT RowBinary ", b"\x00\n\n", "RowBinary"),
]


@pytest.mark.parametrize(("head", "data", "form"), INSERTS)
def test_the_data_of_an_insert_begin_after_its_format_and_one_line_end(head, data, form):
    found = insert_data(head + data, complete=True)

    assert isinstance(found, Insert)
    assert (found.format, (head + data)[found.data_at :]) == (form, data)


@pytest.mark.parametrize(("head", "data", "form"), INSERTS)
def test_where_the_data_begin_does_not_depend_on_how_the_text_arrives(head, data, form):
    text = head + data
    whole = insert_data(text, complete=True)

    for cut in range(len(text)):
        assert insert_data(text[:cut], complete=False) in {"more", whole}


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT 1",
        b"INSERT INTO t SELECT * FROM u",
        b"INSERT INTO t WITH 1 AS x SELECT x",
        b"INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        b"INSERT INTO t; FORMAT CSV",
        b"INSERT INTO t FORMAT 'x'",
        b"INSERT INTO t",
        b"INSERT",
        b"",
        b"-- INSERT INTO t FORMAT CSV",
    ],
)
def test_what_takes_no_data_is_no_insert_with_data(text):
    assert insert_data(text, complete=True) == "other"


def test_a_query_is_known_as_such_by_its_first_word():
    assert insert_data(b"SELECT ", complete=False) == "other"
    assert insert_data(b"SELEC", complete=False) == "more"


@pytest.mark.parametrize(
    ("sql", "first", "form"),
    [
        (b"SELECT 1", "SELECT", None),
        (b"SELECT 1 FORMAT JSON", "SELECT", "JSON"),
        (b"select 1 format JSON settings max_threads = 1;", "SELECT", "JSON"),
        (b"(SELECT 1) UNION ALL (SELECT 2) FORMAT CSV ;", "UNION", "CSV"),
        (b"SELECT 1 AS format", "SELECT", None),
        (b"SELECT format FROM t", "SELECT", None),
        (b"SELECT t.format x", "SELECT", None),
        (b"SELECT 1 -- FORMAT JSON", "SELECT", None),
        (b"SELECT 'FORMAT JSON'", "SELECT", None),
        (b"SELECT $$ FORMAT JSON$$", "SELECT", None),
        (b"SELECT (SELECT 1 FORMAT JSON)", "SELECT", None),
        (b"# note\nKILL QUERY WHERE 1 FORMAT TSV", "KILL", "TSV"),
        (b"", "", None),
    ],
)
def test_the_format_that_a_statement_asks_for(sql, first, form):
    seen = shape(sql)

    assert (seen.first, seen.format) == (first, form)


def test_the_clauses_for_the_pipes_go_where_the_grammar_wants_them():
    insert = b"INSERT INTO t (a) SETTINGS x = 1 FORMAT CSV\n1"
    found = insert_data(insert, complete=True)

    assert into_pipe(b"SELECT 1 FORMAT CSV", shape(b"SELECT 1 FORMAT CSV"), "p", "TSV") == (
        b"SELECT 1 \nINTO OUTFILE 'p' TRUNCATE FORMAT CSV"
    )
    assert into_pipe(b"SELECT 1; -- x", shape(b"SELECT 1; -- x"), "p", "TSV") == (
        b"SELECT 1\nINTO OUTFILE 'p' TRUNCATE FORMAT TSV"
    )
    assert from_pipe(insert, found, "p") == (
        b"INSERT INTO t (a) FROM INFILE 'p' COMPRESSION 'none' SETTINGS x = 1 \nFORMAT CSV"
    )


@pytest.mark.parametrize(
    ("sql", "has_file_clause", "changes_session"),
    [
        (b"SELECT 1 INTO OUTFILE 'x'", True, False),
        (b"INSERT INTO t FROM INFILE 'x' FORMAT CSV", True, False),
        (b"SELECT 'INTO OUTFILE'", False, False),
        (b"SET a = 1", False, True),
        (b"USE x", False, True),
        (b"CREATE OR REPLACE TEMPORARY TABLE t (a UInt8)", False, True),
    ],
)
def test_what_a_statement_leaves_behind(sql, has_file_clause, changes_session):
    seen = shape(sql)

    assert (seen.has_file_clause, seen.changes_session) == (has_file_clause, changes_session)


def test_an_insert_that_selects_from_its_data_is_known():
    assert selects_from_data(b"INSERT INTO t SELECT a FROM Input ('a UInt8') FORMAT CSV 1")
    assert not selects_from_data(b"INSERT INTO t SELECT input, 'input(' FROM input")


@given(st.text())
def test_literals_are_one_token_whatever_is_in_them(text):
    for literal, kind in ((quoted(text), "string"), (identifier(text), "quoted")):
        found = [token for token in tokens(b"SELECT " + literal + b", x") if token.kind == kind]

        assert [(token.start, token.end) for token in found] == [(7, 7 + len(literal))]


@given(st.text(min_size=1))
def test_a_quoted_identifier_is_read_as_the_name_that_it_was_made_of(name):
    sql = identifier(name)

    assert plain(sql, next(iter(tokens(sql)))) == name.encode()


def test_the_ways_to_write_a_name_are_one_name():
    for written in (rb"file", rb"`file`", rb'"file"', rb'"fi\x6ce"', rb"`\x66ile`"):
        assert plain(written, next(iter(tokens(written)))) == b"file"


@given(st.binary())
def test_no_text_is_too_odd(text):
    pieces = list(tokens(text))

    assert all(one.end <= two.start for one, two in itertools.pairwise(pieces))
    shape(text)
    insert_data(text, complete=True)
    insert_data(b"INSERT INTO " + text, complete=False)


@pytest.mark.parametrize("piece", [b"'\\", b'"\\', b"/*", b"$a$", b"(", b"1, ", b"''", b"--", b"`a"])
def test_reading_a_text_takes_time_in_proportion_to_its_length(piece):
    started = time.process_time()
    shape(piece * 50_000)

    assert time.process_time() - started < 2.0
