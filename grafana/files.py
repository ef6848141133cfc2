"""Every generated file: its path below this folder, and its text. PURE."""

import json

from grafana.alerts.rule import to_yaml
from grafana.alerts.rules import RULES
from grafana.boards import DASHBOARDS
from grafana.model import to_json


def files() -> dict[str, str]:
    """Path -> text."""
    made = {
        f"dashboards/{board.uid}.json": json.dumps(to_json(board), indent=2, ensure_ascii=False) + "\n"
        for board in DASHBOARDS
    }
    return made | {"provisioning/alerting/taximeter.yaml": to_yaml(RULES)}
