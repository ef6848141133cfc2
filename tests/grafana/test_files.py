"""The files that are checked in are those that the generator makes, and Grafana's own models read them."""

import json
from pathlib import Path

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.files import files

ROOT = Path(__file__).parents[2] / "grafana"
BOARDS = {path: text for path, text in files().items() if path.endswith(".json")}


def test_the_files_are_in_step_with_the_generator():
    there = {str(path.relative_to(ROOT)) for path in ROOT.glob("dashboards/*")}
    assert there == set(BOARDS), "run `make dashboards`"
    assert {path: (ROOT / path).read_text() for path in files()} == files(), "run `make dashboards`"


@pytest.mark.parametrize("path", BOARDS)
def test_a_dashboard_is_one_for_the_models_of_grafana(path):
    plugins.register_default_plugins()
    written = json.loads(BOARDS[path])
    assert "id" not in written

    read = Dashboard.from_json(written)

    assert read.uid == written["uid"]
    assert [panel.title for panel in read.panels] == [panel["title"] for panel in written["panels"]]
    assert [variable.name for variable in read.templating.list_val] == [
        one["name"] for one in written["templating"]["list"]
    ]


@pytest.mark.parametrize("path", BOARDS)
def test_panels_do_not_overlap(path):
    taken = set()
    for panel in json.loads(BOARDS[path])["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_what_is_provisioned_fits_together():
    source = yaml.safe_load((ROOT / "provisioning/datasources/taximeter.yaml").read_text())["datasources"][0]
    rules = yaml.safe_load((ROOT / "provisioning/alerting/taximeter.yaml").read_text())["groups"][0]["rules"]
    assert {rule["data"][0]["datasourceUid"] for rule in rules} == {source["uid"]}
    boards = {json.loads(text)["uid"] for text in BOARDS.values()}
    assert {rule["annotations"]["dashboard"].removeprefix("/d/") for rule in rules} <= boards
