"""What `cass attention-maps` leaves behind: figures, a CSV, a table, JSON; and what its sister commands share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from cass_cli.engine.looking.attention import patch_distances
from cass_cli.engine.looking.attention_maps import AttentionResult, ModelMaps
from cass_cli.engine.looking.measures import MEASURES, NAMES
from cass_cli.reports.csv_files import numbers, write_csv
from cass_cli.reports.look_results import pictures_of, print_look_json, show_end, shown_rows
from cass_cli.reports.map_plots import averaged, plot_averages, plot_distances, plot_heads, plot_overlays
from cass_cli.reports.printing import Screen
from cass_cli.reports.tables import plain_table, print_table, with_interval
from cass_cli.scores.bootstrap import Estimate

OVERLAID = 6  # images in the overlay figure


def draw_attention(result: AttentionResult, folder: Path, *, pdf: bool) -> list[Path]:
    """Write the figures and the CSV of `result` into `folder` and return their paths."""
    look, files = result.look, list[Path]()
    where = f"{len(look.sample)} {look.split or 'own'} images"
    for arm, shown in look.after.items():
        maps = [m for m in result.maps if m.arm == arm]
        kinds = [(maps[-1].kind, [(m.label, averaged(m.maps)) for m in maps])]
        rolled = [(m.label, averaged(m.rollout)) for m in maps if m.rollout is not None]
        if len(rolled) == len(maps):
            kinds = [(f"{kinds[0][0]}, last block", kinds[0][1]), ("attention rollout, all blocks", rolled)]
        title, side = f"{shown.model}: average over {where}", shown.spec.size
        files += plot_averages(kinds, folder / f"attention-average-{arm}.png", title=title, side=side, pdf=pdf)
        heads = [(m.label, m.heads) for m in maps if m.heads is not None]
        if heads:
            title = f"{shown.model}: heads of the last block, average over {where}"
            files += plot_heads(heads, folder / f"attention-heads-{arm}.png", title=title, pdf=pdf)
        far = [(m.label, m.distance) for m in maps if m.distance is not None]
        if far:
            even = float(patch_distances(*maps[-1].maps.shape[1:]).mean())
            title = f"{shown.model}: how far each block looks, {where}"
            files += plot_distances(far, even, folder / f"attention-distance-{arm}.png", title=title, pdf=pdf)
    files += _overlays(result, folder, pdf=pdf)
    return [*files, _write_attention_csv(result, folder / "attention-maps.csv")]


def _overlays(result: AttentionResult, folder: Path, *, pdf: bool) -> list[Path]:
    look = result.look
    rows = shown_rows(look.sample, OVERLAID)
    pictures, titles = pictures_of(look, rows)
    models = sorted(result.maps, key=lambda m: m.heads is None)  # attention first
    lines = [(f"{m.arm}: {m.label}\n({m.kind})", m.arm, m.maps[rows]) for m in models]
    title = "Where the arms look"
    return plot_overlays(pictures, titles, lines, folder / "attention-images.png", title=title, pdf=pdf)


def _write_attention_csv(result: AttentionResult, path: Path) -> Path:
    sample = result.look.sample
    rows = (
        [name, sample.label(i), m.arm, m.label, m.kind, *numbers(m.measures[i])]
        for m in result.maps
        for i, name in enumerate(sample.table.names)
    )
    return write_csv(path, ["image", "class", "arm", "weights", "map", *NAMES], rows)


def show_attention(result: AttentionResult, files: Sequence[Path], *, as_json: bool) -> None:
    """Print the measures of every arm before and after, the change, and the files."""
    if as_json:
        models = [
            {
                "arm": m.arm,
                "weights": m.label,
                "model": m.model,
                "map": m.kind,
                "grid": list(m.maps.shape[1:]),
                "measures": _as_dict(m.means),
            }
            for m in result.maps
        ]
        changes = {arm: _as_dict(change) for arm, change in result.changes.items()}
        print_look_json(result.look, files, result.notes, models=models, changes=changes)
        return
    console = Screen()
    for arm in result.look.after:
        _show_arm([m for m in result.maps if m.arm == arm], result.changes.get(arm), console)
    for name, meaning in MEASURES.items():
        console.print(f"{name:10} {meaning}", style="dim")
    console.print("change     bold: its interval leaves out zero, so it is not just chance", style="dim")
    show_end(console, result.notes, files)


def _as_dict(estimates: Sequence[Estimate]) -> dict[str, Any]:
    return {name: estimate.as_dict() for name, estimate in zip(NAMES, estimates, strict=True)}


def _show_arm(maps: Sequence[ModelMaps], change: Sequence[Estimate] | None, console: Console) -> None:
    last = maps[-1]
    rows, columns = last.maps.shape[1:]
    headings = ["measure", *(m.label for m in maps), *(["change"] if change else [])]
    table = plain_table(f"{last.arm}  {last.model}  ({last.kind}, {rows} × {columns})", headings)
    for i, name in enumerate(NAMES):
        if math.isnan(last.means[i].value):
            continue
        cells = [with_interval(m.means[i]) for m in maps]
        table.add_row(name, *cells, *([_changed(change[i])] if change else []))
    print_table(console, table)
    console.print()


def _changed(estimate: Estimate) -> str:
    """Return a change with its interval: bold where the interval leaves out zero, else dim."""
    if math.isnan(estimate.value):
        return "–"
    text = f"{estimate.value:+.3f} {estimate.low:+.3f}…{estimate.high:+.3f}"
    return f"[bold]{text}[/]" if estimate.low > 0 or estimate.high < 0 else f"[dim]{text}[/]"
