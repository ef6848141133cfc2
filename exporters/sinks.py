"""All sinks there are: one tuple, one line each. Adding one is a file or folder, a line here, and its test.

What: `SINKS` holds for each kind of sink what makes those that the settings ask for: none, one or several. A sink is
anything with a name, `check`, `deliver` and `close` (`exporters.recorder.ports.Sink`); cursor, thread, retries, order
and status are the recorder's business.

Config: `store` for ClickHouse, `sinks` for all others. What is not configured is not made, and loads no library.

Example: `await run_recorder(settings, pricer, make_sinks(settings), stop=stop, status=status)`

Source: design.md, "Features are entries in one tuple"; `exporters/webhook/sink.py` is the shortest one to read.
"""

from collections.abc import Callable, Iterable

from exporters.clickhouse.sink import ClickHouseSink
from exporters.otlp.wanted import otlp_sinks
from exporters.recorder.ports import Sink
from exporters.webhook.sink import webhook_sinks
from proxy.settings import Settings

SinkMaker = Callable[[Settings], Iterable[Sink]]
"""Makes the sinks of one kind. It connects to nothing and cannot fail: that is for `check`."""


def _always(sink: Callable[[Settings], Sink]) -> SinkMaker:
    return lambda settings: (sink(settings),)


SINKS: tuple[SinkMaker, ...] = (_always(ClickHouseSink), webhook_sinks, otlp_sinks)


def make_sinks(settings: Settings) -> list[Sink]:
    """Every sink that the settings ask for, each with a name of its own."""
    return [sink for make in SINKS for sink in make(settings)]
