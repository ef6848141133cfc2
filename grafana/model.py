"""A dashboard as values, and as the classic JSON that Grafana 11 to 13 load from files. PURE.

Source: the fact sheet on Grafana, sections 1 and 4.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

TYPE = "grafana-clickhouse-datasource"
PLUGIN_VERSION = "4.20.0"
SCHEMA_VERSION = 39
DATASOURCE = {"type": TYPE, "uid": "${datasource}"}
"""Of a variable, so that a dashboard works with any data source of the kind."""
COLUMNS = 24
"""Of Grafana's grid."""

Kind = Literal["timeseries", "stat", "table", "bargauge", "traces"]
Format = Literal["time_series", "table", "traces"]
_FORMATS: dict[Format, int] = {"time_series": 0, "table": 1, "traces": 3}
_QUERY_TYPES: dict[Format, str] = {"time_series": "timeseries", "table": "table", "traces": "traces"}


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """From this value on a figure has this colour."""

    value: float | None
    """None: from the start."""
    color: str


GOOD = Threshold(value=None, color="green")
PLAIN = (Threshold(value=None, color="blue"),)


def rising(warning: float, bad: float) -> tuple[Threshold, ...]:
    """Green, then yellow, then red: for what had better be low."""
    return (GOOD, Threshold(value=warning, color="yellow"), Threshold(value=bad, color="red"))


def falling(bad: float, warning: float) -> tuple[Threshold, ...]:
    """Red below the first, yellow below the second: for what had better be high."""
    return (
        Threshold(value=None, color="red"),
        Threshold(value=bad, color="yellow"),
        Threshold(value=warning, color="green"),
    )


@dataclass(frozen=True, kw_only=True)
class Column:
    """How one column of a table is shown."""

    unit: str = ""
    link: str = ""
    """A URL that a click leads to."""
    link_title: str = ""
    thresholds: tuple[Threshold, ...] = ()
    """Colour the cell."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel with one query."""

    title: str
    description: str
    """What the figure is and where it comes from; every panel has one."""
    sql: str
    kind: Kind = "timeseries"
    unit: str = "short"
    width: int = 12
    height: int = 8
    thresholds: tuple[Threshold, ...] = PLAIN
    columns: Mapping[str, Column] = field(default_factory=dict)
    stacked: bool = False
    may_be_empty: bool = False
    """Where nothing to show is the good news."""

    @property
    def format(self) -> Format:
        """In which form the data source is to give the rows."""
        return "time_series" if self.kind == "timeseries" else "traces" if self.kind == "traces" else "table"


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A choice at the top of a dashboard."""

    name: str
    label: str
    description: str
    sql: str = ""
    """Gives the values; empty for a text that people type."""
    default: str = ""


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """One dashboard; `uid` never changes, as links and bookmarks hold it."""

    uid: str
    title: str
    description: str
    panels: tuple[Panel, ...]
    variables: tuple[Variable, ...] = ()
    since: str = "now-6h"
    refresh: str = "1m"


def to_json(dashboard: Dashboard) -> dict[str, Any]:
    """The classic JSON; the panels in their order, from left to right and from top to bottom."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["taximeter"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": dashboard.refresh,
        "time": {"from": dashboard.since, "to": "now"},
        "links": [_board_links()],
        "templating": {"list": [_datasource_variable(), *map(_variable, dashboard.variables)]},
        "annotations": {"list": []},
        "panels": [
            _panel(number, panel, place)
            for number, (panel, place) in enumerate(zip(dashboard.panels, _places(dashboard.panels), strict=True), 1)
        ],
    }


def _places(panels: tuple[Panel, ...]) -> Iterator[dict[str, int]]:
    """Where each goes: a new row begins where one does not fit."""
    x = y = row_height = 0
    for panel in panels:
        if x + panel.width > COLUMNS:
            x, y, row_height = 0, y + row_height, 0
        yield {"x": x, "y": y, "w": panel.width, "h": panel.height}
        x, row_height = x + panel.width, max(row_height, panel.height)


def _board_links() -> dict[str, Any]:
    return {
        "title": "Taximeter",
        "type": "dashboards",
        "tags": ["taximeter"],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "The other dashboards, with the same time and choices",
        "url": "",
    }


def _datasource_variable() -> dict[str, Any]:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": TYPE,
        "hide": 0,
        "refresh": 1,
        "regex": "",
        "multi": False,
        "includeAll": False,
        "options": [],
        "current": {"text": "Taximeter", "value": "taximeter"},
        "skipUrlSync": False,
    }


def _variable(variable: Variable) -> dict[str, Any]:
    common = {
        "name": variable.name,
        "label": variable.label,
        "description": variable.description,
        "hide": 0,
        "skipUrlSync": False,
    }
    if not variable.sql:
        current = {"text": variable.default, "value": variable.default}
        return common | {"type": "textbox", "query": variable.default, "current": current, "options": []}
    return common | {
        "type": "query",
        "datasource": DATASOURCE,
        "query": variable.sql,
        "definition": variable.sql,
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "current": {"text": ["All"], "value": ["$__all"]},
        "options": [],
    }


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "gridPos": place,
        "datasource": DATASOURCE,
        "interval": "1m",
        "targets": [
            {
                "refId": "A",
                "datasource": DATASOURCE,
                "editorType": "sql",
                "rawSql": panel.sql,
                "format": _FORMATS[panel.format],
                "queryType": _QUERY_TYPES[panel.format],
                "pluginVersion": PLUGIN_VERSION,
            }
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": [*map(_override, *_split(panel))]},
        "options": _options(panel),
    }


def _split(panel: Panel) -> tuple[tuple[str, ...], tuple[Column, ...]]:
    return tuple(panel.columns), tuple(panel.columns.values())


def _steps(thresholds: tuple[Threshold, ...]) -> dict[str, Any]:
    return {"mode": "absolute", "steps": [{"color": one.color, "value": one.value} for one in thresholds]}


def _defaults(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        "thresholds": _steps(panel.thresholds),
    }
    if panel.kind == "timeseries":
        defaults["min"] = 0
        defaults["custom"] = {
            "drawStyle": "bars" if panel.stacked else "line",
            "fillOpacity": 60 if panel.stacked else 8,
            "lineWidth": 1,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "off" if panel.thresholds is PLAIN else "line"},
        }
    return defaults


def _override(name: str, column: Column) -> dict[str, Any]:
    properties: list[dict[str, Any]] = []
    if column.unit:
        properties.append({"id": "unit", "value": column.unit})
    if column.link:
        link = {"title": column.link_title, "url": column.link, "targetBlank": False}
        properties.append({"id": "links", "value": [link]})
    if column.thresholds:
        properties.append({"id": "thresholds", "value": _steps(column.thresholds)})
        properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        return {
            "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["mean", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    if panel.kind in {"stat", "bargauge"}:
        return {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": True}, "orientation": "auto"}
    return {"showHeader": True, "cellHeight": "sm"} if panel.kind == "table" else {}
