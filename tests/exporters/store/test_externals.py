"""Tables that come along with a request."""

import pytest

from exporters.store.externals import structure_of_types


@pytest.mark.parametrize(
    ("types", "structure"),
    [
        ("UInt8", "_1 UInt8"),
        ("UInt8, Map(String, UInt8),Decimal(9, 2)", "_1 UInt8, _2 Map(String, UInt8), _3 Decimal(9, 2)"),
        ("Enum8('a,b' = 1), String", "_1 Enum8('a,b' = 1), _2 String"),
    ],
)
def test_types_alone_make_numbered_columns(types, structure):
    assert structure_of_types(types) == structure


def form(name, data, **fields):
    """A multipart form with one file."""
    parts = [f'--X\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}' for key, value in fields.items()]
    parts.append(f'--X\r\nContent-Disposition: form-data; name="{name}"; filename="f"\r\n\r\n{data}')
    body = "\r\n".join([*parts, "--X--\r\n"]).encode()
    return {"body": body, "headers": {"Content-Type": "multipart/form-data; boundary=X"}}


@pytest.mark.real
def test_a_file_is_a_table_for_one_query(client):
    fields = {"query": "SELECT s, n + {p:UInt8} FROM e", "param_p": "1", "e_types": "UInt8", "e_format": "CSV"}
    fields["e_structure"] = "n UInt8, s String"

    assert client.ask(**form("e", '1,"x, y"\n', **fields)).text == "x, y\t2"
    assert client.ask("SELECT * FROM e").code == 60


@pytest.mark.real
def test_the_reader_may_bring_tables_too(reader):
    assert reader.ask(**form("e", "7\n", e_types="UInt8"), query="SELECT _1 FROM e").text == "7"


@pytest.mark.real
@pytest.mark.parametrize(
    "structure",
    [
        "s String DEFAULT file('/etc/hostname')",
        "s String) ENGINE = File(TSV, '/etc/hostname') --",
        "s String) AS SELECT file('/etc/hostname') --",
        "s String MATERIALIZED file('/etc/hostname'), t String",
    ],
)
def test_columns_are_names_and_types_and_nothing_else(reader, structure):
    answer = reader.ask(**form("e", "", e_structure=structure), query="SELECT * FROM e")

    assert answer.status == 400 or answer.text == ""


@pytest.mark.real
def test_a_table_of_a_session_goes_with_its_request(client):
    client.sql("SET max_threads = 1", session_id="externals")
    request = form("e", "7\n", e_types="UInt8", query="SELECT _1 FROM e")

    assert [client.ask(**request, session_id="externals").text for _ in range(2)] == ["7", "7"]


@pytest.mark.real
def test_a_form_that_says_too_little_or_is_none_is_refused(client):
    assert client.ask(**form("e", "7\n", query="SELECT 1")).code == 36
    assert client.ask(**form("e", "7\n", e_types="UInt8", e_format="TSV; DROP", query="SELECT 1")).code == 36
    assert client.ask(b"junk", headers={"Content-Type": "multipart/form-data"}).code == 36
    assert client.ask(b"junk", headers={"Content-Type": "multipart/form-data; boundary=X"}).code == 36
