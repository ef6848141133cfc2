"""deploy/ as far as it can be tried without a container engine: what the files name is there, and the product takes it."""

import re
import shutil
import subprocess
from collections import Counter

import pytest
import yaml

from tests.fakes.cluster_engine import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
UNIT = DEPLOY / "systemd" / "taximeter.service"
CHART = DEPLOY / "helm" / "taximeter"
LOCKED = re.compile(r"^([a-z0-9._-]+)==([^ ;]+)", re.MULTILINE)


def steps(word):
    """The instructions of this kind, their lines joined."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.partition(" ")[2].split() for line in joined.splitlines() if line.startswith(f"{word} ")]


def test_what_the_image_copies_is_there_and_sent_to_the_builder():
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [name for step in steps("COPY") if not step[0].startswith("--") for name in step[:-1]]
    assert copied
    for name in copied:
        assert (ROOT / name).exists(), name
        assert any(name.rstrip("/") == one or one.startswith(name) for one in sent), f"{name} is not sent"


def test_the_image_installs_by_hash_and_runs_as_a_user_without_rights():
    assert "--require-hashes" in DOCKERFILE
    assert steps("USER") == [["10001:10001"]]
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "USER 10001" in final
    assert "pip install" not in final


@pytest.mark.parametrize("lock", ["server", "run"])
def test_the_image_can_be_built_from_either_lock(lock):
    assert f"requirements/{lock}.lock".replace(lock, "${LOCK}") in DOCKERFILE
    assert "--hash=sha256:" in (ROOT / f"requirements/{lock}.lock").read_text()


def test_the_servers_lock_is_the_other_one_without_the_embedded_engine():
    locks = {name: dict(LOCKED.findall((ROOT / f"requirements/{name}.lock").read_text())) for name in ("server", "run")}
    assert locks["server"].items() <= locks["run"].items()
    without = locks["run"].keys() - locks["server"].keys()
    assert {"chdb", "chdb-core", "pandas", "pyarrow", "numpy"} <= without
    assert len(without) < 10


@pytest.mark.parametrize("service", COMPOSE["services"].values(), ids=COMPOSE["services"])
def test_what_a_service_mounts_is_there_and_read_only(service):
    for mount in service["volumes"]:
        source, target, *mode = mount.split(":")
        assert target.startswith("/")
        if source.startswith("."):
            assert (DEPLOY / source).exists(), mount
            assert mode == ["ro"]
        else:
            assert source in COMPOSE["volumes"]


def test_every_port_is_published_once_and_to_this_machine_alone():
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert max(Counter(ports).values()) == 1


def test_every_secret_of_the_services_is_named_in_the_example_and_written_nowhere():
    wanted = set(re.findall(r"\$\{(\w+):\?", (DEPLOY / "compose.yaml").read_text()))
    example = [line for line in (DEPLOY / "env.example").read_text().splitlines() if "=" in line and line[0] != "#"]
    assert {line.partition("=")[0] for line in example} == wanted
    assert all(line.endswith("=") for line in example)


def test_grafana_has_what_its_provisioning_asks_for():
    service = COMPOSE["services"]["grafana"]
    provisioning = "".join(file.read_text() for file in (ROOT / "grafana/provisioning").glob("d*/*.yaml"))
    asked = set(re.findall(r"\$(\w+)", provisioning))
    assert asked
    assert asked <= service["environment"].keys()
    folder = re.search(r"path: (\S+)", provisioning)[1]
    assert any(mount.split(":")[1] == folder for mount in service["volumes"])


def test_images_are_pinned():
    images = [service["image"] for name, service in COMPOSE["services"].items() if name != "taximeter"]
    assert all(re.search(r":[0-9]", image) for image in images)


def environment_of(config):
    """A value for each variable that a configuration refers to; what a pepper has to be is good for all."""
    return dict.fromkeys(re.findall(r"env:(\w+)", config), "0123456789abcdef" * 4)


def check(tmp_path, text, taximeter):
    """What `taximeter check` says of a configuration."""
    file = tmp_path / "taximeter.yaml"
    file.write_text(text.replace("data_dir: /data", f"data_dir: {tmp_path / 'data'}"))
    return taximeter("check", "--config", str(file), env=environment_of(text))


@pytest.fixture
def taximeter(monkeypatch):
    """Run the command as a user would, with these variables."""
    from typer.testing import CliRunner  # noqa: PLC0415 - the pure tests of this file need no command

    from proxy.cli import app  # noqa: PLC0415

    return lambda *words, env: CliRunner().invoke(app, words, env=env)


@pytest.mark.parametrize("file", ["container.yaml", "compose/taximeter.yaml"])
def test_the_product_takes_the_configurations(tmp_path, taximeter, file):
    said = check(tmp_path, (DEPLOY / file).read_text(), taximeter)
    assert said.exit_code == 0, said.output


def test_the_services_have_every_variable_that_the_configuration_asks_for():
    asked = environment_of((DEPLOY / "compose/taximeter.yaml").read_text())
    commented = {name for name in asked if name.endswith("_API_KEY")}
    assert asked.keys() - commented == COMPOSE["services"]["taximeter"]["environment"].keys()


def test_the_unit_lets_it_write_to_its_own_folder_alone():
    lines = dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line and line[0] != "#")
    assert lines["ProtectSystem"] == "strict"
    assert lines["StateDirectory"] == "taximeter"
    assert "TAXIMETER_DATA_DIR=/var/lib/taximeter" in lines["Environment"]
    assert lines["KillMode"] == "mixed"
    assert "ReadWritePaths" not in lines


@pytest.mark.real
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(tmp_path):
    command = tmp_path / "taximeter"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/taximeter/bin/taximeter", str(command)))
    said = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    complaints = [line for line in said.stderr.splitlines() if unit.name in line]
    assert (said.returncode, complaints) == (0, [])


def rendered(*settings):
    """The chart's objects, by kind and name."""
    words = [word for one in settings for word in ("--set", one)]
    said = subprocess.run(
        ["helm", "template", "t", str(CHART), "--kube-version", "1.33.0", *words],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if said.returncode:
        raise ValueError(said.stderr)
    found = [one for one in yaml.safe_load_all(said.stdout) if one]
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


needs_helm = pytest.mark.skipif(not shutil.which("helm"), reason="helm is not installed")


@pytest.mark.real
@needs_helm
def test_the_product_takes_the_configuration_that_the_chart_makes(tmp_path, taximeter):
    made = rendered()["ConfigMap", "t-taximeter"]["data"]["taximeter.yaml"]
    said = check(tmp_path, made, taximeter)
    assert said.exit_code == 0, said.output


@pytest.mark.real
@needs_helm
def test_the_chart_makes_no_secret_and_its_pods_have_no_rights():
    objects = rendered("keys.existingSecret=keys")
    assert "Secret" not in {kind for kind, _ in objects}
    pod = objects["StatefulSet", "t-taximeter"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.real
@needs_helm
def test_autoscaling_and_a_number_of_pods_do_not_fight():
    assert "replicas" not in rendered()["StatefulSet", "t-taximeter"]["spec"]
    fixed = rendered("autoscaling.enabled=false", "replicas=3")
    assert fixed["StatefulSet", "t-taximeter"]["spec"]["replicas"] == 3
    assert ("HorizontalPodAutoscaler", "t-taximeter") not in fixed


@pytest.mark.real
@needs_helm
@pytest.mark.parametrize("mistake", ["config.listen=x", "config.data_dir=x", "replica=1", "config.store.url=null"])
def test_the_chart_refuses_what_it_sets_itself_and_what_it_does_not_know(mistake):
    with pytest.raises(ValueError, match=r"schema|additional|required"):
        rendered(mistake)
