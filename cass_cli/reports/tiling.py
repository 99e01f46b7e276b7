"""What `cass tile` made of each slide, on one screen and as JSON."""

from __future__ import annotations

import shlex
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cass_cli.engine.tiling.job import TABLE, Tiled
from cass_cli.engine.tiling.plan import SlidePlan
from cass_cli.reports.printing import duration
from cass_cli.reports.tables import print_table
from cass_cli.words import count, shown

MOST_SLIDES = 30  # rows on the screen; --json has all


def tiled_dict(done: Tiled) -> dict[str, Any]:
    """Return all that is known of the tiles but their places, which are what the table is for."""
    asked = done.cut.resolution
    return {
        "out": str(done.out),
        "table": str(done.out / TABLE),
        "tiles": done.tiles,
        "size": done.cut.size,
        "magnification": asked.magnification,
        "mpp": asked.mpp,
        "tissue": done.cut.tissue,
        "most": done.cut.most,
        "seed": done.cut.seed,
        "columns": list(done.told.columns),
        "slides": [_slide_dict(plan, done) for plan in done.plans],
        "notes": list(done.told.notes),
        "seconds": round(done.seconds, 3),
        "command": _command(done),
    }


def show_tiled(done: Tiled, console: Console) -> None:
    """Print a row a slide, what was told of them, and the next command."""
    slides = sum(bool(plan.places) for plan in done.plans)
    console.print(
        f"[bold]{count(done.tiles, 'tile')}[/] of {done.cut.size} px from {count(slides, 'slide')}, {_asked(done)}"
        f"  [dim]({duration(done.seconds)})[/]"
    )
    for note in done.told.notes:
        console.print(f"• {escape(note)}", style="dim")
    console.print()
    print_table(console, _slide_table(done))
    bare = [plan for plan in done.plans if not plan.places]
    if bare:
        why = f"no tile of {done.cut.size} px that is {done.cut.tissue:.0%} tissue"
        console.print(f"\n[yellow]![/] {count(len(bare), 'slide has', 'slides have')} {why}: --tissue sets the share.")
    console.print(f"\nWritten: [cyan]{escape(shown(str(done.out / TABLE)))}[/]", soft_wrap=True)
    console.print(f"Next: [bold]{escape(_command(done))}[/]", soft_wrap=True)


def _slide_dict(plan: SlidePlan, done: Tiled) -> dict[str, Any]:
    return {
        "slide": plan.name,
        "path": str(plan.path),
        "patient": done.told.patients[plan.name],
        "magnification": plan.magnification,
        "mpp": plan.mpp,
        "downsample": plan.extent / done.cut.size,
        "tiles": len(plan.places),
        "empty": plan.empty,
        "beyond_most": plan.beyond_most,
    }


def _slide_table(done: Tiled) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=True)
    table.add_column("slide", "all", overflow="fold")
    table.add_column("patient", overflow="fold")
    beyond = any(plan.beyond_most for plan in done.plans)
    table.add_column("scanned", justify="right")
    table.add_column("tiles", f"{done.tiles:,}", justify="right")
    table.add_column("empty", f"{sum(plan.empty for plan in done.plans):,}", justify="right")
    if beyond:
        table.add_column("not drawn", f"{sum(plan.beyond_most for plan in done.plans):,}", justify="right")
    for plan in done.plans[:MOST_SLIDES]:
        kept = f"{len(plan.places):,}" if plan.places else "[yellow]0[/]"
        more = [f"{plan.beyond_most:,}"] if beyond else []
        names = escape(shown(plan.name)), escape(shown(done.told.patients[plan.name]))
        table.add_row(*names, _scanned(plan), kept, f"{plan.empty:,}", *more)
    if len(done.plans) > MOST_SLIDES:
        table.add_row(f"[dim]… {len(done.plans) - MOST_SLIDES:,} more (--json)[/]")
    return table


def _scanned(plan: SlidePlan) -> str:
    """Return at what a slide was scanned, by what it says."""
    if plan.magnification is None or plan.mpp is None:
        return "not said"
    return f"{plan.magnification:.3g}×, {plan.mpp:.3g} µm"


def _asked(done: Tiled) -> str:
    asked = done.cut.resolution
    if asked.mpp is not None:
        return f"{asked.mpp:g} µm a pixel"
    return "full resolution" if asked.magnification is None else f"{asked.magnification:g}×"


def _command(done: Tiled) -> str:
    return shlex.join(["cass", "inspect", str(done.out)])
