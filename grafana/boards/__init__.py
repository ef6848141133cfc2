"""All dashboards. A new one is a file of its own and a line here."""

from grafana.boards.budgets import BUDGETS
from grafana.boards.costs import COSTS
from grafana.boards.live import LIVE
from grafana.boards.overview import OVERVIEW
from grafana.boards.pipeline import PIPELINE
from grafana.boards.providers import PROVIDERS
from grafana.boards.reliability import RELIABILITY
from grafana.boards.usage import USAGE
from grafana.model import Dashboard

DASHBOARDS: tuple[Dashboard, ...] = (
    OVERVIEW,
    COSTS,
    BUDGETS,
    RELIABILITY,
    PROVIDERS,
    USAGE,
    LIVE,
    PIPELINE,
)
