import json

from typer.testing import CliRunner

from proxy.cli import app
from proxy.version import own_version


def test_it_is_one_line_for_people():
    result = CliRunner().invoke(app, ["version"])
    assert result.output.startswith(f"taximeter {own_version()} (Python ")
    assert result.output.count("\n") == 1


def test_programs_get_the_packages_too():
    said = json.loads(CliRunner().invoke(app, ["version", "--format", "json"]).output)
    assert said["version"] == own_version()
    assert said["packages"]["aiohttp"]
