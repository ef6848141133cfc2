"""`make bench`: Taximeter beside nginx and beside nothing at all, in one run, interleaved.

Each kind of load gets a fresh set of targets. A round measures every target once, in a shuffled order, while the others
are held still; ratios are taken inside a round, and their median over the rounds, with the least and the most, is what
counts. Taximeter runs as a user would run it: metering, journal, recorder and store on. Its worker has a core to itself;
mock and load generator have the other one, and recorder and store what those leave. Figures of one run compare with
each other, never with those of another machine or day.
"""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.bench.figures import FLOOR, NOTHING, OURS, Bar, Spread, added_us, first_bars, spread
from tests.bench.machine import Cores, busy_share, describe
from tests.bench.scenarios import Scenario, scenarios, write_bodies
from tests.bench.targets import Target, direct, nginx, nginx_is_installed, taximeter
from tests.bench.tools import BenchError, Tools, build_tools, run_load, running_mock

ROOT = Path(__file__).parents[2]
MACHINE = "machine"
"""What a round says of the machine, beside its targets."""
_LISTEN_S = 0.3
_QUIET_SHARE = 0.05
_PAGE_WIDTH = 150
"""Columns of a page that is no terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print tables, write a file. Status 2: something did not run; 1: --strict, and a bar was missed."""
    options = _options(arguments)
    console = Console() if sys.stdout.isatty() else Console(width=_PAGE_WIDTH)
    if not nginx_is_installed():
        console.print(
            "nginx is not installed, so nothing can be held against it (Debian: apt-get install nginx-light)."
        )
    chosen = [one for one in scenarios(options.seconds, options.streams) if one.name in (options.only or [one.name])]
    rounds: dict[str, list[dict[str, Any]]] = {}
    broken = False
    with tempfile.TemporaryDirectory(prefix="taximeter-bench-") as folder:
        try:
            tools = build_tools(Path(folder) / "tools")
            for scenario in chosen:
                rounds[scenario.name] = _measure(scenario, options, tools, Path(folder), console)
        except BenchError as error:
            # What was measured before is worth showing all the same.
            console.print(Text(str(error), style="red"))
            broken = True
    if not rounds:
        return 2
    bars = [bar for bar in first_bars(options.streams) if bar.scenario in rounds]
    missed = _print_verdicts(console, bars, rounds)
    _print_figures(console, [scenario for scenario in chosen if scenario.name in rounds], rounds)
    _print_noise(console, rounds)
    _write(options.output, options, rounds, bars)
    console.print(f"Every figure of every round: {options.output}")
    if broken:
        return 2
    return 1 if missed and options.strict else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="of each kind of load (5)")
    parser.add_argument("--seconds", type=float, default=2.5, help="that one target is measured in a round (2.5)")
    parser.add_argument("--streams", type=int, default=1000, help="open at the same time (1000)")
    parser.add_argument("--only", action="append", help="this kind of load: small, large, rate, streams; repeatable")
    parser.add_argument("--without", action="append", default=[], choices=[FLOOR, OURS], help="leave a target out")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the targets (1)")
    parser.add_argument("--strict", action="store_true", help="end with status 1 when a bar is missed")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench.json", help="where the figures go")
    return parser.parse_args(arguments)


def _measure(
    scenario: Scenario, options: argparse.Namespace, tools: Tools, folder: Path, console: Console
) -> list[dict[str, Any]]:
    """The rounds of one kind of load, on fresh targets."""
    cores, shuffle = Cores(), random.Random(f"{options.seed}-{scenario.name}")
    place = folder / scenario.name
    place.mkdir()
    bodies = write_bodies(place)
    rounds: list[dict[str, Any]] = []
    with ExitStack() as stack, console.status(scenario.title) as status:
        mock = stack.enter_context(running_mock(tools, cores.pin_to_tools))
        targets = [direct(mock)]
        if nginx_is_installed() and FLOOR not in options.without:
            targets.append(stack.enter_context(nginx(mock, place / FLOOR, cores)))
        if OURS not in options.without:
            targets.append(stack.enter_context(taximeter(mock, place / OURS, cores)))
        for number in range(options.rounds):
            # Everything of ours stands still just now: what is busy are others.
            figures: dict[str, Any] = {MACHINE: {"busy_share": busy_share(_LISTEN_S)}}
            for target in shuffle.sample(targets, len(targets)):
                status.update(f"{scenario.title}: round {number + 1} of {options.rounds}, {target.name}")
                figures[target.name] = _load(target, scenario, tools, bodies[scenario.body], cores)
            rounds.append(figures)
    return rounds


def _load(target: Target, scenario: Scenario, tools: Tools, body: Path, cores: Cores) -> dict[str, Any]:
    with target.running():
        found = run_load(
            tools,
            target.address + scenario.path,
            body,
            *scenario.options,
            "--connections",
            str(scenario.connections),
            pids=target.measured,
            prefix=cores.tools_prefix,
        )
    return found | {"idle_kib": target.idle_kib}


def _print_verdicts(console: Console, bars: Sequence[Bar], rounds: dict[str, list[dict[str, Any]]]) -> int:
    """The table of bars; how many were missed."""
    table = Table(title="Bars: median over the rounds (least to most)", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("load", "figure", "measured", "bar", ""):
        table.add_column(heading, justify="right" if heading in {"measured", "bar"} else "left")
    missed = 0
    for bar in bars:
        judged = bar.judge(rounds[bar.scenario])
        wanted = f"{'>=' if bar.at_least else '<='} {bar.limit:g} {bar.unit}".rstrip()
        if judged is None:
            table.add_row(bar.scenario, bar.title, "-", wanted, "[yellow]not judged[/]")
            continue
        found, good = judged
        missed += not good
        verdict = "[green]reached[/]" if good else "[red]missed[/]"
        table.add_row(bar.scenario, bar.title, f"{_text(found)} {bar.unit}".rstrip(), wanted, verdict)
    console.print(table)
    return missed


def _print_figures(console: Console, chosen: Sequence[Scenario], rounds: dict[str, list[dict[str, Any]]]) -> None:
    """What each target did, in absolute figures: good for this machine and this day only."""
    table = Table(title="Each target, medians", title_justify="left", box=box.SIMPLE_HEAD)
    headings = ("load", "target", "calls/s", "CPU us/call", "p50 us", "p99 us", "added p50 us", "added p99 us",
                "piece delay p50 / p99 ms", "CPU us/piece", "failed")  # fmt: skip
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number < 2 else "right")
    for scenario in chosen:
        for name in (NOTHING, FLOOR, OURS):
            found = [figures[name] for figures in rounds[scenario.name] if name in figures]
            if found:
                table.add_row(scenario.name, name, *_figures(name, found, rounds[scenario.name]))
        table.add_section()
    console.print(table)


def _print_noise(console: Console, rounds: dict[str, list[dict[str, Any]]]) -> None:
    """Say so when somebody else was at work: the figures are worth less then."""
    shares = [figures[MACHINE]["busy_share"] for found in rounds.values() for figures in found]
    noisy = sum(share > _QUIET_SHARE for share in shares)
    if noisy:
        console.print(
            f"[yellow]Others were at work in {noisy} of {len(shares)} rounds (up to {max(shares):.0%} of the machine): "
            "trust the ratios little and the delays not at all, and measure again on a quiet machine.[/]"
        )


def _figures(name: str, found: Sequence[dict[str, Any]], rounds: Sequence[dict[str, Any]]) -> list[str]:
    streams = any(one["piece_delay_us"]["count"] for one in found)
    calls = [one["calls_per_s"] for one in found]
    cpu = [one["cpu_s"] * 1e6 / one["calls"] if one["calls"] and name != NOTHING else None for one in found]
    pieces = [
        one["cpu_s"] * 1e6 / one["piece_delay_us"]["count"] if streams and name != NOTHING else None for one in found
    ]
    added = [
        spread([added_us(figures, name, point) for figures in rounds]) if name != NOTHING and not streams else None
        for point in ("p50", "p99")
    ]
    latencies = [
        spread([one["latency_us"].get(point) if not streams else None for one in found]) for point in ("p50", "p99")
    ]
    delays = [spread([one["piece_delay_us"].get(point) for one in found]) for point in ("p50", "p99")]
    delay = " / ".join(f"{one.median / 1000:.3f}" for one in delays if one)
    failed = sum(sum(one["failed"].values()) for one in found)
    return [
        _median(spread(calls), 0),
        _median(spread(cpu) if not streams else None, 0),
        *(_median(one, 0) for one in (*latencies, *added)),
        delay or "-",
        _median(spread(pieces), 0),
        str(failed),
    ]


def _text(found: Spread) -> str:
    return f"{found.median:.3g} ({found.least:.3g} to {found.most:.3g})"


def _median(found: Spread | None, digits: int) -> str:
    return "-" if found is None else f"{found.median:,.{digits}f}"


def _write(
    output: Path, options: argparse.Namespace, rounds: dict[str, list[dict[str, Any]]], bars: Sequence[Bar]
) -> None:
    verdicts = []
    for bar in bars:
        judged = bar.judge(rounds[bar.scenario])
        verdicts.append(
            {
                "load": bar.scenario,
                "figure": bar.title,
                "unit": bar.unit,
                "limit": bar.limit,
                "at_least": bar.at_least,
                "median": judged[0].median if judged else None,
                "least": judged[0].least if judged else None,
                "most": judged[0].most if judged else None,
                "reached": judged[1] if judged else None,
            }
        )
    document = {
        "machine": describe(ROOT),
        "rounds_wanted": options.rounds,
        "seconds": options.seconds,
        "streams": options.streams,
        "bars": verdicts,
        "rounds": rounds,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
