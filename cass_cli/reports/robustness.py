"""What `cass evaluate --corruptions` shows and writes: two tables, a CSV, a figure of curves, and one of examples."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cass_cli.data.corruptions import KINDS, STRENGTHS, corrupt
from cass_cli.engine.finetuning.corrupted import Corrupted
from cass_cli.engine.finetuning.evaluate import Evaluation
from cass_cli.reports.csv_files import write_csv
from cass_cli.reports.curves import save, style
from cass_cli.reports.pictures import drawn
from cass_cli.reports.printing import print_sentence
from cass_cli.reports.robustness_in_words import COLUMNS, corruption_rows, measured_in_words
from cass_cli.reports.tables import print_table, said_with_interval
from cass_cli.scores.metrics import METRICS
from cass_cli.words import shown

ACROSS = 3  # panels


def show_corruptions(console: Console, found: Evaluation) -> None:
    """Show the pick's scores by kind and strength, what each candidate loses on average, and how it was measured."""
    corrupted, pick = found.corrupted, found.summary.judgement.pick
    if corrupted is None:
        return
    console.print()
    print_table(console, _kinds_table(corrupted, pick))
    console.print()
    print_table(console, _candidates_table(corrupted, pick))
    for note in (measured_in_words(corrupted.as_dict()), *corrupted.notes):
        print_sentence(console, Text(f"• {note}", style="dim"))


def _kinds_table(found: Corrupted, pick: str) -> Table:
    of, table = found.candidates[pick], Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(Text(f"{METRICS[found.metric]}, corrupted ({shown(pick)})"), overflow="fold")
    for heading in ("clean", *map(str, STRENGTHS), "bCE", "rCE"):
        table.add_column(heading, justify="right")
    for kind, by in of.corrupted.items():
        values = [of.clean[found.metric], *by[found.metric]]
        table.add_row(
            KINDS[kind], *(_number(value, 3) for value in values), _number(of.bce[kind]), _number(of.rce[kind])
        )
    return table


def _candidates_table(found: Corrupted, pick: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(Text(f"mean {METRICS[found.metric]}"), overflow="fold")
    for heading in ("clean", "corrupted", "drop", "bCE", "rCE"):
        table.add_column(heading, justify="right")
    for name, of in found.candidates.items():
        cells = [_number(of.clean[found.metric], 3), _number(of.mean, 3), said_with_interval(of.drop, 3)]
        lead = "→ " if name == pick else ""
        table.add_row(Text(f"{lead}{shown(name)}"), *cells, _number(of.mean_bce), _number(of.mean_rce))
    return table


def write_corruptions(found: Corrupted, path: Path) -> Path:
    """Write the scores of all candidates as a CSV, a row a number; those on clean images have strength 0."""
    return write_csv(path, COLUMNS, corruption_rows(found.as_dict()))


def plot_corruptions(found: Corrupted, path: Path, *, title: str) -> Path:
    """Draw the run's metric by strength of each kind of corruption, in a panel, with a curve a candidate."""
    kinds = list(next(iter(found.candidates.values())).corrupted)
    rows = -(-len(kinds) // ACROSS)
    figure = Figure(figsize=(2.9 * ACROSS, 2.5 * rows + 0.9), layout="constrained")
    figure.suptitle(title, fontsize=11)
    panels: NDArray[Any] = figure.subplots(rows, ACROSS, sharey=True, squeeze=False)
    for axes, kind in zip(panels.flat, kinds, strict=False):
        for index, (name, of) in enumerate(found.candidates.items()):
            curve = [of.clean[found.metric], *of.corrupted[kind][found.metric]]
            axes.plot(curve, label=drawn(name), marker="o", markersize=3, linewidth=1.6, **style(index))
        axes.set_title(KINDS[kind], fontsize=9)
        axes.set_xticks([0, *STRENGTHS], ["clean", *map(str, STRENGTHS)])
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
    for axes in panels.flat[len(kinds) :]:
        axes.set_axis_off()
    for axes in panels[-1]:
        axes.set_xlabel("strength", fontsize=9)
    figure.supylabel(METRICS[found.metric], fontsize=9)
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=8, frameon=False)
    return save(figure, path)


def plot_examples(example: NDArray[np.uint8], path: Path) -> Path:
    """Draw an image uint8 [3, S, S] with every kind of corruption, a row each, as it is and at every strength."""
    side, gap = example.shape[1], max(1, example.shape[1] // 28)
    step, columns = side + gap, len(STRENGTHS) + 1
    board = np.full((step * len(KINDS) - gap, step * columns - gap, 3), 255, np.uint8)
    for row, kind in enumerate(KINDS):
        images = [example, *(corrupt(example, kind, strength, seed=0) for strength in STRENGTHS)]
        for column, image in enumerate(images):
            top, left = row * step, column * step
            board[top : top + side, left : left + side] = image.transpose(1, 2, 0)
    figure = Figure(figsize=(1.1 * columns + 1, 1.1 * len(KINDS)), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(board)
    axes.set_yticks([row * step + side / 2 for row in range(len(KINDS))], list(KINDS.values()), fontsize=8)
    axes.set_xticks(
        [column * step + side / 2 for column in range(columns)], ["clean", *map(str, STRENGTHS)], fontsize=8
    )
    axes.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    return save(figure, path)


def _number(value: float, digits: int = 2) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}".replace("-", "−")
