"""How `cass benchmark-time` looks: progress, tables, CSV, JSON and a bar chart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from matplotlib.figure import Figure
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from cass_cli.csv_cells import CellWriter
from cass_cli.engine.timing.job import Benchmark, Projection, Round
from cass_cli.engine.timing.measure import Timing
from cass_cli.files import telling, whole_text, write_json
from cass_cli.reports.curves import COLOURS, DPI
from cass_cli.reports.pictures import write_picture
from cass_cli.reports.printing import Screen, print_json
from cass_cli.reports.progress import HowFar
from cass_cli.reports.tables import print_table
from cass_cli.runs.directory import environment

GIB = 2**30
PAPER_GPU = "RTX 8000"


class BenchmarkDisplay:
    """A bar for each method while it is timed."""

    def __init__(self, steps: int, *, to_stderr: bool = False) -> None:
        console = Screen(stderr=to_stderr)
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=28), HowFar())
        self.bars = Progress(*columns, console=console, transient=True)
        self.steps = steps
        self.tasks: dict[str, Any] = {}
        self.waiting = self.bars.add_task("Building the networks", total=None)

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def step(self, setting: str, method: str, step: int) -> None:
        """Show that a method has taken a step."""
        name = f"{setting} {method}".strip()
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(name, total=self.steps)
            self.bars.update(self.waiting, visible=False)
        self.bars.update(self.tasks[name], completed=step)


def show_benchmark(benchmark: Benchmark, folder: Path, *, hourly_cost: float | None, as_json: bool) -> None:
    """Print the tables, what they rest on, and where they are kept."""
    if as_json:
        print_json({**asdict(benchmark), "folder": str(folder), "hours": list(_rows(benchmark, hourly_cost))})
        return
    console = Screen()
    machine = benchmark.machine
    compiled = ", compiled" if machine.compiled else ""
    peak = f"{machine.peak_flops / 1e12:.3g} TFLOP/s in a large product"
    console.print(f"[bold]{machine.device}[/], {machine.precision}{compiled}: {peak}; {benchmark.images}")
    if benchmark.reduced:
        console.print(f"[yellow]Reduced ({benchmark.reduced}): read the ratios, not the hours.[/]")
    if not machine.interleaved:
        console.print("[yellow]Together the methods do not fit into memory: timed one after the other.[/]")
    for one in benchmark.rounds:
        console.print()
        if one.setting:
            console.print(f"[bold]{one.setting}[/]")
        print_table(console, _steps_table(one))
        for line in _ratios(one):
            console.print(line)
        console.print()
        print_table(console, _hours_table(one, benchmark.epochs, hourly_cost))
    console.print(f"\nSaved: [cyan]{folder}[/] (result.json, hours.csv, hours.png)")


def save_benchmark(benchmark: Benchmark, out: Path, *, hourly_cost: float | None) -> Path:
    """Write result.json, hours.csv and hours.png to a new folder in `out`, and return it."""
    folder = out / f"benchmark-time-{datetime.now().strftime('%Y%m%d-%H%M%S')}"
    with telling(folder, "Choose another --out."):
        folder.mkdir(parents=True)
    write_json(folder / "result.json", {"environment": environment(), **asdict(benchmark)})
    rows = list(_rows(benchmark, hourly_cost))
    with whole_text(folder / "hours.csv") as file:
        writer = CellWriter(file)
        writer.writerow(rows[0])
        writer.writerows(row.values() for row in rows)
    _plot(benchmark, folder / "hours.png")
    return folder


def _rows(benchmark: Benchmark, hourly_cost: float | None) -> Iterator[dict[str, Any]]:
    """Yield a row for each sweep setting, preset and method."""
    for one in benchmark.rounds:
        for projection in one.projections:
            for method, timing in one.timings.items():
                hours = projection.hours.get(method)
                yield {
                    "setting": one.setting,
                    "preset": projection.preset,
                    "images": projection.images,
                    "method": method,
                    "batch_size": timing.batch_size,
                    "image_size": timing.image_size,
                    "views": timing.views,
                    "seconds_per_step": timing.seconds,
                    "images_per_second": timing.images_per_second,
                    "flops_per_step": timing.flops,
                    "memory_bytes": timing.memory,
                    "epochs": benchmark.epochs,
                    "hours": hours,
                    "cost": None if hours is None or hourly_cost is None else hours * hourly_cost,
                    "paper_hours": projection.paper_hours.get(method.split()[0]),
                    "problem": timing.problem,
                }


def _steps_table(one: Round) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    for heading in ("method", "views", "s a step", "img/s", "data", "fwd", "bwd", "opt", "GFLOP", "peak", "GiB"):
        table.add_column(heading, justify="left" if heading in ("method", "views") else "right")
    for timing in one.timings.values():
        name = f"[cyan]{timing.method}[/]" + (f" {'+'.join(timing.networks)}" if len(timing.networks) < 2 else "")
        if timing.seconds is None:
            table.add_row(name, timing.views, f"[red]{timing.problem}[/]")
            continue
        assert timing.split and timing.flops and timing.peak_share and timing.memory is not None
        whole = sum(timing.split.values())
        spread = ((timing.high or 0) - (timing.low or 0)) / timing.seconds / 2
        table.add_row(
            name,
            timing.views,
            f"{timing.seconds:.3g} ±{spread:.0%}",
            f"{timing.images_per_second:.3g}",
            *(f"{timing.split.get(phase, 0) / whole:.0%}" for phase in ("data", "forward", "backward", "optimiser")),
            f"{timing.flops / 1e9:,.0f}",
            f"{timing.peak_share:.0%}",
            f"{timing.memory / GIB:.1f}",
        )
    return table


def _ratios(one: Round) -> Iterator[str]:
    """Say how each method compares with CASS in time and in arithmetic: the one means little without the other."""
    cass = one.timings.get("cass")
    for method, timing in one.timings.items():
        if cass and method != "cass" and timing.seconds and cass.seconds and timing.flops and cass.flops:
            yield (
                f"{method} / cass: time ×{timing.seconds / cass.seconds:.2f}, "
                f"arithmetic ×{timing.flops / cass.flops:.2f}{_different(timing, cass)}"
            )


def _different(timing: Timing, cass: Timing) -> str:
    lacking = [arm for arm in cass.networks if arm not in timing.networks]
    return f" ({timing.method} trains the {', '.join(timing.networks)} only)" if lacking else ""


def _hours_table(one: Round, epochs: int, hourly_cost: float | None) -> Table:
    """Return the paper's Table 2 with our columns beside it."""
    methods = list(one.timings)
    title = f"{epochs} epochs, projected, beside the paper's Table 2 (one {PAPER_GPU})"
    table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left", title_style="bold")
    table.add_column("preset")
    others = [method for method in methods if method != "cass"]
    short = [method.split()[0] for method in methods]
    headings = ["images", *(f"{name} h" for name in short), *(["saves"] if others else [])]
    headings += [f"{name} cost" for name in short] if hourly_cost is not None else []
    for heading in (*headings, "paper: cass h", "dino h", "saves"):
        table.add_column(heading, justify="right")
    for projection in one.projections:
        hours = projection.hours
        cells = [f"{projection.images:,}", *(_number(hours.get(method)) for method in methods)]
        cells += [_saving(hours.get(others[0]), hours.get("cass"))] if others else []
        if hourly_cost is not None:
            cells += [_number(hours[m] * hourly_cost if m in hours else None) for m in methods]
        table.add_row(f"[cyan]{projection.preset}[/]", *cells, *_paper_cells(projection))
    if others:
        table.caption = f"saves: cass against {others[0]}"
        table.caption_justify = "left"
    return table


def _paper_cells(projection: Projection) -> tuple[str, str, str]:
    paper = projection.paper_hours
    dino, cass = paper.get("dino"), paper.get("cass")
    return _number(cass), _number(dino), _saving(dino, cass)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.3g}" if value < 100 else f"{value:,.0f}"


def _saving(other: float | None, cass: float | None) -> str:
    return "–" if not other or cass is None else f"{1 - cass / other:.0%}"


def _plot(benchmark: Benchmark, path: Path) -> None:
    """Draw projected hours as bars, a group for each preset (and sweep setting), the paper's beside them."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    groups = [(one, projection) for one in benchmark.rounds for projection in one.projections]
    methods = list(benchmark.rounds[0].timings)
    width = 0.8 / len(methods)
    for index, method in enumerate(methods):
        heights = [projection.hours.get(method, 0.0) for _, projection in groups]
        places = [group + (index - (len(methods) - 1) / 2) * width for group in range(len(groups))]
        bars = axes.bar(places, heights, width * 0.9, label=method, color=COLOURS[index % len(COLOURS)])
        axes.bar_label(bars, [_number(height) for height in heights], fontsize=7, padding=2)
    names = [f"{projection.preset}\n{one.setting}".strip() for one, projection in groups]
    axes.set_xticks(range(len(groups)), names, fontsize=8)
    axes.set_yscale("log")
    axes.margins(y=0.12)
    axes.set_ylabel(f"hours for {benchmark.epochs} epochs")
    sizes = {f"{t.image_size} px, batch {t.batch_size}" for one in benchmark.rounds for t in one.timings.values()}
    size = sizes.pop() if len(sizes) == 1 else "sizes as named"
    axes.set_title(f"Pretraining on {benchmark.machine.device}, {benchmark.machine.precision}, {size}", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    write_picture(figure, path, dpi=DPI)
