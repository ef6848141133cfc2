"""The engine itself, in a process of its own: a process can open one folder in its life."""

import json
import subprocess
import sys

import pytest

from exporters.store.engine import TAG_SETTING, kill_statement

SCRIPT = """
import json, sys
from pathlib import Path
from exporters.store import engine as eng
from exporters.store.errors import StoreError
from exporters.store.folder import Folder, FolderLock, write_config

folder = Folder(Path(sys.argv[1]))
lock = FolderLock(folder)
write_config(folder, 1 << 30)
engine = eng.open_engine(folder)
connection = engine.connect()
said = {"version": engine.version, "zone": eng.read_text(connection, b"SELECT timezone()")}
said["limit"] = eng.read_text(connection, b"SELECT getSetting('max_memory_usage')")
said["judged"] = [eng.judge(connection, sql) for sql in (b"SELECT 1", b"SELEC 1", b"SELECT 1; DROP TABLE t", b"SET a = 1")]
said["figures"] = eng.run(connection, b"SELECT number FROM numbers(10)").figures._asdict()
eng.use(connection, "system")
said["database"] = eng.read_text(connection, b"SELECT currentDatabase()")
try:
    eng.apply(connection, {"max_threads": b"'3'", "no_such": b"1"})
except StoreError as error:
    said["refused"] = [error.code, error.name]
said["threads"] = eng.read_text(connection, b"SELECT getSetting('max_threads')")
said["found"] = engine.kill("nobody")
connection.close()
engine.close()
lock.release()
print(json.dumps(said))
"""


@pytest.mark.real
def test_the_engine_opens_with_our_limits_in_utc(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "a b ü")], capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout.splitlines()[-1])

    assert said["version"][0].isdigit()
    assert (said["zone"], said["limit"], said["database"]) == ("UTC", str(1 << 29), "system")
    assert said["judged"] == [["READ_ONLY", 1], ["UNKNOWN", 0], ["MUTATING", 2], ["CONTROL", 1]]
    assert (said["figures"]["read_rows"], said["figures"]["result_rows"]) == (10, 10)
    assert said["refused"] == [115, "UNKNOWN_SETTING"]
    assert said["threads"] != "3"
    assert said["found"] is False


def test_a_tag_is_a_literal_whatever_it_is():
    assert kill_statement("it's") == f"KILL QUERY WHERE Settings['{TAG_SETTING}'] = 'it\\'s' ASYNC".encode()
