"""deploy/clickhouse as far as it can be tried without containers: files, names, ports, and what the engine makes of it.

The engine reads the accounts, profiles, quotas, macros and the cluster of the real files. What it cannot do here is run
a keeper, or several nodes.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.fakes.cluster_engine import ROOT

DEPLOY = ROOT / "deploy" / "clickhouse"
COMPOSES = sorted(DEPLOY.glob("*/compose.yaml"))
XML = sorted(DEPLOY.rglob("*.xml"))


def services(compose):
    return yaml.safe_load(compose.read_text())["services"]


def servers(compose):
    return {name: one for name, one in services(compose).items() if "clickhouse-server" in one["image"]}


def xml(name):
    return ET.parse(DEPLOY / name).getroot()


def test_there_is_one_server_and_a_cluster():
    assert [compose.parent.name for compose in COMPOSES] == ["cluster", "single"]
    assert (len(servers(DEPLOY / "cluster/compose.yaml")), len(services(DEPLOY / "cluster/compose.yaml"))) == (4, 7)


@pytest.mark.parametrize("file", XML, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_xml_file_is_well_formed_and_in_use(file):
    assert ET.parse(file).getroot().tag == "clickhouse"
    mounted = {
        (compose.parent / one.split(":")[0]).resolve()
        for compose in COMPOSES
        for s in services(compose).values()
        for one in s["volumes"]
    }
    assert file in mounted


@pytest.mark.parametrize("compose", COMPOSES, ids=lambda path: path.parent.name)
def test_every_file_that_a_service_mounts_is_there_and_read_only(compose):
    volumes = yaml.safe_load(compose.read_text())["volumes"]
    used = Counter()
    for service in services(compose).values():
        for mount in service["volumes"]:
            source, target, *mode = mount.split(":")
            if source.startswith("."):
                assert (compose.parent / source).is_file(), mount
                assert mode == ["ro"]
            else:
                used[source] += 1
            assert target.startswith("/")
    assert used == Counter(list(volumes)), "each volume belongs to one service"


@pytest.mark.parametrize("compose", COMPOSES, ids=lambda path: path.parent.name)
def test_every_port_is_given_once_and_to_this_machine_alone(compose):
    ports = [port for service in services(compose).values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert max(Counter(port.rsplit(":", 1)[0] for port in ports).values()) == 1


@pytest.mark.parametrize("compose", COMPOSES, ids=lambda path: path.parent.name)
def test_every_secret_comes_from_the_env_file_and_none_is_written_down(compose):
    wanted = set(re.findall(r"\$\{(\w+):\?", compose.read_text()))
    example = (compose.parent / "env.example").read_text()
    assert {line.partition("=")[0] for line in example.splitlines() if "=" in line} == wanted
    assert all(not line.partition("=")[2] for line in example.splitlines() if not line.startswith("#"))
    for service in servers(compose).values():
        given = set(service["environment"])
        asked = {
            node.get("from_env")
            for name in _mounted(compose, service)
            for node in ET.parse(name).iter()
            if node.get("from_env")
        }
        assert asked <= given


def _mounted(compose, service):
    return [compose.parent / mount.split(":")[0] for mount in service["volumes"] if mount.startswith(".")]


def test_every_node_is_a_replica_of_its_own_and_the_cluster_knows_it_by_its_name():
    compose = DEPLOY / "cluster/compose.yaml"
    macros = {
        name: (one["environment"]["SHARD"], one["environment"]["REPLICA"]) for name, one in servers(compose).items()
    }
    assert len(set(macros.values())) == 4
    assert all(name == one["hostname"] for name, one in services(compose).items())
    cluster = xml("cluster/cluster.xml").find("remote_servers/taximeter")
    for number, shard in enumerate(cluster.findall("shard"), 1):
        assert shard.findtext("internal_replication") == "true"
        hosts = [replica.findtext("host") for replica in shard.findall("replica")]
        assert {macros[host][0] for host in hosts} == {str(number)}
    assert sorted(host.text for host in cluster.iter("host")) == sorted(macros)


def test_every_keeper_knows_all_of_them_and_the_servers_do_too():
    compose = DEPLOY / "cluster/compose.yaml"
    keepers = {
        one["environment"]["KEEPER_ID"]: name
        for name, one in services(compose).items()
        if "KEEPER_ID" in one["environment"]
    }
    keeper = xml("cluster/keeper.xml").find("keeper_server")
    raft = {one.findtext("id"): one.findtext("hostname") for one in keeper.iter("server")}
    assert raft == keepers
    assert len(keepers) == 3
    nodes = {(one.findtext("host"), one.findtext("port")) for one in xml("cluster/cluster.xml").iter("node")}
    assert nodes == {(host, keeper.findtext("tcp_port")) for host in keepers.values()}


_PROGRAM = """
import sys
from chdb import _chdb
connection = _chdb.connect(sys.argv[1])
for sql in sys.argv[2:]:
    print(bytes(connection.query(sql.encode(), "TSV").bytes() or b"").decode(), end="\\0")
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the engine says after it has read the real files: the cluster, macros, accounts, grants, limits."""
    folder = tmp_path_factory.mktemp("engine")
    users = xml("common/users.xml")
    # The engine alone has neither the server's default account nor the switch that makes this element known.
    for change in users.findall(".//changeable_in_readonly/.."):
        change.remove(change.find("changeable_in_readonly"))
    users.find("users").remove(users.find("users/default"))
    for section, more in (
        ("profiles", ""),
        ("quotas", ""),
        (
            "users",
            "<password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota><access_management>1</access_management>",
        ),
    ):
        users.find(section).insert(0, ET.fromstring(f"<default>{more}</default>"))
    ET.ElementTree(users).write(folder / "users.xml")
    config = xml("cluster/cluster.xml")
    config.append(ET.fromstring(f"<users_config>{folder / 'users.xml'}</users_config>"))
    config.append(ET.fromstring("<logger><level>none</level></logger>"))
    ET.ElementTree(config).write(folder / "config.xml")
    asked = {
        "clusters": "SELECT cluster, shard_num, replica_num, host_name, internal_replication FROM system.clusters",
        "macros": "SELECT macro, substitution FROM system.macros ORDER BY 1",
        "writer": "SHOW GRANTS FOR taximeter",
        "reader": "SHOW GRANTS FOR taximeter_reader",
        "profile": "SELECT setting_name, value, max FROM system.settings_profile_elements WHERE profile_name = 'taximeter_reader'",
        "quotas": "SELECT quota_name, max_queries, max_execution_time FROM system.quota_limits ORDER BY 1",
        "accounts": "SELECT name FROM system.users ORDER BY 1",
    }
    env = dict.fromkeys(("TAXIMETER_WRITER_PASSWORD", "TAXIMETER_READER_PASSWORD", "TAXIMETER_CLUSTER_SECRET"), "x")
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM, f"{folder / 'data'}?config-file={folder / 'config.xml'}", *asked.values()],
        env={**os.environ, **env, "SHARD": "2", "REPLICA": "1"}, capture_output=True, text=True, check=True, timeout=60, cwd=Path(folder),
    )  # fmt: skip
    answers = ran.stdout.split("\0")[:-1]
    return {
        name: [tuple(line.split("\t")) for line in answer.splitlines()]
        for name, answer in zip(asked, answers, strict=True)
    }


@pytest.mark.real
def test_the_engine_sees_two_shards_with_two_replicas_each(told):
    assert told["clusters"] == [
        ("taximeter", str(shard), str(replica), f"shard-{shard}-replica-{replica}", "1")
        for shard in (1, 2)
        for replica in (1, 2)
    ]
    assert told["macros"] == [("replica", "1"), ("shard", "2")]


@pytest.mark.real
def test_the_engine_gives_the_reader_reading_and_limits_alone(told):
    assert told["accounts"] == [("default",), ("taximeter",), ("taximeter_reader",)]
    granted = {line[0] for line in told["reader"]}
    assert granted == {
        "GRANT SELECT ON system.* TO taximeter_reader",
        "GRANT SHOW, SELECT ON taximeter.* TO taximeter_reader",
    }
    profile = {name: (value, most) for name, value, most in told["profile"]}
    assert profile["readonly"][0] == "1"
    assert profile["max_execution_time"] == ("60", "300")
    assert {"max_memory_usage", "max_result_rows", "max_concurrent_queries_for_user"} <= set(profile)
    assert ("taximeter_reader", "20000", "14400") in told["quotas"]


@pytest.mark.real
def test_the_engine_gives_the_writer_what_the_schema_needs(told):
    granted = " ".join(line[0] for line in told["writer"])
    for one in (
        "CREATE TABLE",
        "CREATE VIEW",
        "INSERT",
        "ALTER TABLE",
        "DROP TABLE",
        "SYSTEM TTL MERGES",
        "SYSTEM SYNC REPLICA",
        "CLUSTER",
        "REMOTE",
    ):
        assert one in granted


def test_grafana_may_change_how_long_its_questions_take_and_nothing_else():
    changeable = xml("common/users.xml").findall(".//changeable_in_readonly/..")
    assert [one.tag for one in changeable] == ["max_execution_time"]
    assert (
        xml("common/server.xml").findtext("access_control_improvements/settings_constraints_replace_previous") == "true"
    )
