"""What `cass embed` shows and writes besides the features: candidates for a look, and a figure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table
from rich.text import Text

from cass_cli.data.dataset import Dataset
from cass_cli.data.splits import label_text
from cass_cli.engine.embedding.findings import KINDS, Finding, Neighbourhood
from cass_cli.engine.embedding.job import Embedded
from cass_cli.engine.embedding.neighbours import directions
from cass_cli.engine.embedding.projection import Plane, check_images, check_projection, project
from cass_cli.engine.looking.sample import draw_rows
from cass_cli.errors import ConfigError
from cass_cli.reports.csv_files import write_csv
from cass_cli.reports.embedding_plots import check_colour, colouring, plot_embedding
from cass_cli.reports.printing import Screen, duration, print_json, print_sentence
from cass_cli.reports.tables import print_table
from cass_cli.words import count, shown

MOST_POINTS = 3000  # images of a figure: t-SNE takes 40 s of a core for so many
FIRST = 3  # candidates of each kind that are shown
JOINT = "joint"


def neighbourhood_file(out: Path) -> Path:
    """Return the file of candidates that lies beside the features."""
    return out.with_name(f"{out.stem}-neighbourhood.csv")


def finding_columns(found: Embedded) -> list[str]:
    """Return the columns of a table of candidates."""
    pair = [f"{which}{what}" for what in ("label", "split", "group") for which in ("", "other_")]
    return ["finding", "found_by", "image", "other", *found.features, *pair, "suggested"]


def finding_row(finding: Finding, found: Embedded) -> list[str | float]:
    """Return the values of a candidate in these columns, "" for what it does not have."""
    table, ends = found.table, (finding.row, finding.other)
    names = ["" if row is None else table.names[row] for row in ends]
    labels = ["" if row is None else label_text(table, row) for row in ends]
    splits = ["" if row is None else found.splits[row] for row in ends]
    groups = ["" if row is None or not table.groups else table.groups[row] for row in ends]
    values = [finding.values.get(arm, "") for arm in found.features]
    return [finding.kind, " ".join(finding.values), *names, *values, *labels, *splits, *groups, finding.suggested]


def write_neighbourhood(path: Path, near: Neighbourhood, found: Embedded) -> Path:
    """Write a row a candidate."""

    def cells(finding: Finding) -> list[str]:
        return [cell if isinstance(cell, str) else f"{cell:.6g}" for cell in finding_row(finding, found)]

    return write_csv(path, finding_columns(found), map(cells, near.findings))


@dataclass(frozen=True)
class Drawing:
    """What a figure is to show."""

    path: Path
    projection: str  # of PROJECTIONS
    by: str  # what colours mean; "" for nothing
    seed: int


def check_figure(
    dataset: Dataset, path: Path | None, *, projection: str | None, colour: str | None, seed: int
) -> Drawing | None:
    """Return what the figure is to show, None where there is to be none; raise an error where it cannot be drawn."""
    if path is None:
        for option, value in (("--projection", projection), ("--colour", colour)):
            if value is not None:
                raise ConfigError(f"{option} is about the figure.", hint="Name it with --figure.")
        return None
    check_projection(projection := projection or "tsne")
    check_images(len(dataset.table))
    return Drawing(path, projection, check_colour(colour, dataset.table, dataset.splits), seed)


def draw_embedding(found: Embedded, asked: Drawing, *, on_progress: Callable[[str, int, int], None]) -> Path:
    """Draw a panel for each arm and, of two, one for what both know; of many images some, drawn class by class."""
    check_images(len(found.table))
    rows = draw_rows(found.table.labels, len(found.table), samples=MOST_POINTS, seed=asked.seed)
    units = {name: directions(arm.values, arm.widths) for name, arm in found.features.items()}
    if len(units) > 1:
        units[JOINT] = torch.cat(list(units.values()), dim=1) / math.sqrt(len(units))
    titles = {name: f"{name}: {found.about['arms'][name]['model']}" for name in found.features}
    titles |= {JOINT: f"{JOINT}: {' and '.join(found.features)} side by side"}
    planes: dict[str, Plane] = {}
    for name, of in units.items():
        on_progress("Drawing", len(planes), len(units))
        planes[name] = project(of[torch.from_numpy(rows)].numpy(), name=asked.projection, seed=asked.seed)
    splits = np.array(found.splits, dtype=object)[rows].tolist()
    colours = colouring(asked.by, found.table.select(rows), splits)
    return plot_embedding(planes, titles, colours, asked.path, projection=asked.projection, images=len(found.table))


def show_embedded(
    found: Embedded, near: Neighbourhood | None, out: Path, figure: Path | None, *, as_json: bool
) -> None:
    """Show what was read, how many candidates there are of each kind, and the first of them."""
    beside = neighbourhood_file(out)
    if as_json:
        print_json(embedded_dict(found, near) | {"out": str(out), "figure": str(figure) if figure else None})
        return
    console = Screen(soft_wrap=True)
    console.print(Text(f"{count(len(found.table), 'image')}, ").append(found.run, style="bold"), end="")
    console.print(f"  ({duration(found.seconds)})", style="dim")
    _print_arms(console, found)
    for note in (*found.notes, *(near.notes if near else ())):
        print_sentence(console, Text(f"• {note}", style="dim"))
    if near is not None:
        _print_neighbourhood(console, found, near)
    for path in (out, *([beside] if near else []), *([figure] if figure else [])):
        console.print(Text("Written: ").append(str(path), style="cyan"))


def embedded_dict(found: Embedded, near: Neighbourhood | None) -> dict[str, Any]:
    """Return what is known of the features as plain JSON values, without these."""
    about = dict(found.about) | {
        "unreadable": [{"image": image.name, "reason": image.reason} for image in found.bad],
        "seconds": round(found.seconds, 3),
        "notes": [*found.notes, *(near.notes if near else ())],
    }
    if near is None:
        return about
    return about | {
        "neighbourhood": {
            "findings": dict(near.counts),
            "leaking": {f"{one} → {other}": images for (one, other), images in near.leaking.items()},
            "similarity": {name: _number(value) for name, value in near.similarity.items()},
            "distance": {name: _number(value) for name, value in near.distance.items()},
            "labels_judged": near.judged,
        }
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _print_arms(console: Screen, found: Embedded) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("arm", "network", "weights", "layers", "features"):
        right = heading in ("layers", "features")
        table.add_column(heading, justify="right" if right else "left", overflow="ellipsis" if right else "fold")
    for name, arm in found.about["arms"].items():
        layers = arm["layers"]
        told = f"{layers[0]}" if len(layers) == 1 else f"{layers[0]}–{layers[-1]}"
        table.add_row(*map(Text, (name, arm["model"], arm["weights"], told, f"{sum(arm['widths']):,}")))
    print_table(console, table)


def _print_neighbourhood(console: Screen, found: Embedded, near: Neighbourhood) -> None:
    console.print()
    print_sentence(console, Text("Candidates for a look, not verdicts", style="bold"))
    told = {kind: number for kind, number in near.counts.items() if number}
    if not told:
        console.print("None.")
    for kind in (kind for kind in KINDS if kind in told):
        console.print(Text(f"{told[kind]:>7,}  {KINDS[kind]}"))
        for finding in [f for f in near.findings if f.kind == kind][:FIRST]:
            for line in _said(finding, found):
                print_sentence(console, Text(line, style="dim"))
    leaks = [count(images, f"{one} image") for (one, other), images in near.leaking.items() if other == "train"]
    if leaks:
        print_sentence(console, Text(f"! Near-duplicates of training images: {', '.join(leaks)}.", style="yellow"))
    print_sentence(console, Text(_fences(near), style="dim"))


def _said(finding: Finding, found: Embedded) -> list[str]:
    """Return a candidate in a line, or a pair in two."""
    values = ", ".join(f"{name} {value:.4f}" for name, value in finding.values.items())
    first = f"         {_image(finding.row, found)}"
    if finding.other is not None:
        return [first, f"       = {_image(finding.other, found)}: {values}"]
    return [f"{first}{f' → {shown(finding.suggested)}' if finding.suggested else ''}: {values}"]


def _image(row: int, found: Embedded) -> str:
    facts = [text for text in (label_text(found.table, row), found.splits[row]) if text]
    return shown(found.table.names[row]) + (f" ({shown(', '.join(facts))})" if facts else "")


def _fences(near: Neighbourhood) -> str:
    """Say from where on a pair and an image are told."""
    pairs = ", ".join(f"{name} {value:.4f}" for name, value in near.similarity.items() if not math.isnan(value))
    far = ", ".join(f"{name} {value:.3f}" for name, value in near.distance.items() if not math.isnan(value))
    said = f"Near-duplicates: a cosine above {pairs}." if pairs else ""
    return f"{said} Outliers: a mean distance to 10 neighbours above {far}.".strip() if far else said
