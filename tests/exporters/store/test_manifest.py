"""What a backup says of itself."""

import msgspec
import pytest

from exporters.store.figures import TableFigures
from exporters.store.manifest import (
    FILE_NAME,
    FORMAT,
    BackupError,
    Manifest,
    check_files,
    note_files,
    read_manifest,
    write_manifest,
)


def silent(_stage, _done, _total):
    pass


@pytest.fixture
def backup(tmp_path):
    (tmp_path / "tokens").mkdir()
    (tmp_path / "data.tar").write_bytes(b"rows" * 1_000_000)
    (tmp_path / "tokens" / "log").write_bytes(b"seen")
    manifest = Manifest(
        taximeter="1.0",
        engine="26.9",
        database="taximeter",
        schema_version=2,
        at="2026-11-24T10:00:00.000+00:00",
        at_ns=1,
        data="data.tar",
        tables={"calls": TableFigures(rows=1, sums={"cost": {"USD": "0.1"}})},
        files=note_files(tmp_path, silent),
    )
    write_manifest(tmp_path, manifest)
    return tmp_path


def test_a_manifest_is_read_as_it_was_written_and_its_files_are_good(backup):
    manifest = read_manifest(backup)
    assert manifest.tables["calls"].sums == {"cost": {"USD": "0.1"}}
    assert manifest.bytes == 4_000_004
    steps = []
    check_files(backup, manifest, lambda *step: steps.append(step))
    assert steps[-1][1] == steps[-1][2]


@pytest.mark.parametrize("name", ["data.tar", "tokens/log"])
@pytest.mark.parametrize("harm", ["changed", "shorter", "gone"])
def test_any_harm_to_a_file_is_seen_and_named(backup, name, harm):
    path, data = backup / name, (backup / name).read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-1] + (b"!" if harm == "changed" else b""))
    with pytest.raises(BackupError, match=name):
        check_files(backup, read_manifest(backup), silent)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"format": 1}', b"\xff"])
def test_a_folder_without_a_manifest_that_can_be_read_is_no_backup(tmp_path, text):
    with pytest.raises(BackupError, match="is no backup"):
        read_manifest(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(text)
    with pytest.raises(BackupError, match="cannot be understood"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("format", FORMAT + 1, "does not know"), ("data", "../x", "outside"), ("data", "/etc/passwd", "outside")],
)
def test_a_manifest_of_a_later_format_or_that_reaches_outside_is_refused(backup, field, value, said):
    write_manifest(backup, msgspec.structs.replace(read_manifest(backup), **{field: value}))
    with pytest.raises(BackupError, match=said):
        read_manifest(backup)
