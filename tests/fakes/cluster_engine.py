"""The engine with a cluster of one shard in its configuration, as a process of its own; statements in, answers out.

It has no Keeper and no other nodes. So it runs everything of the cluster's form but replication: `on_one_node` takes
`ON CLUSTER` and `Replicated` out of a statement and leaves all the rest.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

from exporters.schema.cluster import REMEMBERED_S

ROOT = Path(__file__).parents[2]
CLUSTER = "two_by_two"
_CONFIG = """\
<clickhouse>
  <macros><shard>01</shard><replica>one</replica></macros>
  <logger><level>none</level></logger>
  <tcp_port>9000</tcp_port>
  <remote_servers><{cluster}><shard>
    <internal_replication>true</internal_replication>
    <replica><host>127.0.0.1</host><port>9000</port></replica>
  </shard></{cluster}></remote_servers>
  {more}
</clickhouse>
"""
_KEEPER = "<zookeeper><node><host>{host}</host><port>{port}</port></node></zookeeper>"


class EngineError(Exception):
    """What the engine said against a statement."""


class ClusterEngine:
    """Runs statements one by one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, sql: str) -> str:
        """The answer as tab-separated text. Raises EngineError."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(sql) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise EngineError(answer["error"])
        return answer["text"].removesuffix("\n")


@contextmanager
def cluster_engine(folder: Path, keeper: str | None = None) -> Iterator[ClusterEngine]:
    """One that runs until the block ends; `keeper` is `host:port` of a Keeper or ZooKeeper, if there is one."""
    host, _, port = (keeper or "").partition(":")
    more = _KEEPER.format(host=escape(host), port=escape(port)) if keeper else ""
    (folder / "engine.xml").write_text(_CONFIG.format(cluster=CLUSTER, more=more))
    command = [sys.executable, "-m", "tests.fakes.cluster_engine", f"{folder / 'data'}?config-file={folder}/engine.xml"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield ClusterEngine(process)
    finally:
        # With replicated tables that never became active the engine does not come to an end by itself.
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def on_one_node(statement: str) -> str:
    """The statement without what needs Keeper."""
    plain = re.sub(rf" ON CLUSTER `{CLUSTER}`", "", statement)
    plain = re.sub(
        r"ENGINE = Replicated(\w*MergeTree)\((?:'[^']*', '[^']*')(?:, )?([^)]*)\)", r"ENGINE = \1(\2)", plain
    )
    plain = re.sub(rf", replicated_deduplication_window_seconds = {REMEMBERED_S}", "", plain)
    return re.sub(r"\breplicated_deduplication_window\b", "non_replicated_deduplication_window", plain).removesuffix(
        " SYNC"
    )


def _main() -> None:
    from chdb import _chdb  # noqa: PLC0415 - the engine is for this process alone

    connection = _chdb.connect(sys.argv[1])
    for line in sys.stdin:
        try:
            result = connection.query(json.loads(line).encode(), "TSVRaw", params={})
            answer = {"text": bytes(result.bytes() or b"").decode()}
        except RuntimeError as error:
            answer = {"error": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    connection.close()


if __name__ == "__main__":
    _main()
