"""`cass inspect` on one screen, as JSON, and as a CSV of every image."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cass_cli.config.flags import reading_options
from cass_cli.config.schema import Data
from cass_cli.data.image_rows import ImageRow
from cass_cli.data.inspection import Copies, Inspection
from cass_cli.data.layouts.folders import CASE_FOLDERS
from cass_cli.data.splits import SPLITS
from cass_cli.errors import DataError
from cass_cli.reports.csv_files import write_csv
from cass_cli.reports.tables import print_table
from cass_cli.words import count, shown, shown_list

MOST_CLASSES = 20  # rows of the class table: of more classes half the largest, half the smallest; --json has all
MOST_BAD = 10


def as_dict(found: Inspection, command: str) -> dict[str, Any]:
    """Return everything but the rows, which are what the CSV is for; `command` trains on this reading."""
    summary = {
        field.name: getattr(found, field.name) for field in fields(found) if field.name not in ("rows", "label_columns")
    }
    for kind in ("exact", "near"):
        summary[kind] = None if summary[kind] is None else asdict(summary[kind])
    return {**summary, "leaks": found.leaks, "advice": advice(found), "command": command}


def write_rows(path: Path, found: Inspection) -> None:
    """Write one row a file: a table that every command reads as --labels. Raises DataError when it cannot."""
    facts = [field.name for field in fields(ImageRow)][3:]
    header = ["image", "split", *found.label_columns, *facts]
    try:
        rows = ([row.image, row.split, *row.labels, *(getattr(row, fact) for fact in facts)] for row in found.rows)
        write_csv(path, header, rows, asked=True)
    except OSError as error:
        raise DataError(f"Cannot write {shown(str(path))}: {error.strerror or error}.") from error


def show_inspection(found: Inspection, command: str, console: Console) -> None:
    """Print one screen: what there is, what is broken, what leaks, and what to do; `command` trains on this reading."""
    classes = count(len(found.classes), "class", "classes") if found.classes else "no labels"
    kind = ", several an image" if found.multilabel else ""
    console.print(
        f"[bold]{escape(shown(found.root))}[/]  {count(found.images, 'image')}, {classes}{kind}"
        f"  [dim]({found.seconds:.1f} s)[/]"
    )
    for note in found.notes:
        console.print(f"• {escape(note)}", style="dim")
    console.print()
    print_table(console, _class_table(found))
    console.print(f"Splits come from {escape(found.splits_by)}.\n", style="dim")
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, text in _facts(found).items():
        facts.add_row(name, text)
    console.print(facts)
    for obstacle in found.obstacles:
        console.print(f"[bold red]✗[/] {escape(obstacle)}")
    console.print(f"\n[bold cyan]→[/] {escape(advice(found))}")
    console.print(f"  To train on this reading: [bold]{escape(command)}[/]", soft_wrap=True)


def _class_table(found: Inspection) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=True)
    sizes = found.split_sizes
    table.add_column("class", "images" if found.classes else "", overflow="fold")
    for split in SPLITS:
        table.add_column(split, f"{sizes[split]:,}", justify="right")
    table.add_column("all", f"{found.images:,}", justify="right")
    table.columns[0].footer = "images"
    rows, hidden = list(found.class_counts.items()), len(found.class_counts) - MOST_CLASSES
    if hidden > 0:
        rows = sorted(rows, key=lambda row: -sum(row[1].values()))
        rows = [*rows[: MOST_CLASSES // 2], *rows[-MOST_CLASSES // 2 :]]
    for number, (name, counts) in enumerate(rows):
        if hidden > 0 and number == MOST_CLASSES // 2:
            table.add_row(f"[dim]… {hidden:,} more (--json)[/]")
        cells = [f"{counts[split]:,}" if counts[split] else "[yellow]0[/]" for split in SPLITS]
        table.add_row(escape(shown(name)), *cells, f"{sum(counts.values()):,}")
    if found.classes and found.unlabelled:
        table.add_row("[dim]without a label[/]", *[""] * len(SPLITS), f"{found.unlabelled:,}")
    return table


def _facts(found: Inspection) -> dict[str, str]:
    """Return the lines below the class table, each under its name."""
    lines = {"Sizes": _most(found.sizes), "Formats": _most(found.modes)}
    if found.not_square:
        lines["Shapes"] = _shapes(found)
    if found.many_pages:
        lines["Pages"] = f"{count(found.many_pages, 'file')} with several: the first is used"
    lines["Unreadable"] = _unreadable(found)
    lines["Groups"] = _groups(found)
    if found.exact is None or found.near is None:
        lines["Duplicates"] = "[dim]not looked for (--no-duplicates)[/]"
        return lines
    flat = f"; {count(found.flat, 'image')} of nearly one colour left out" if found.flat else ""
    cut = " (too many to list them all)" if found.pairs_cut else ""
    lines["Exact copies"] = _copies(found.exact)
    lines["Near-duplicates"] = _copies(found.near) + cut + flat
    lines["Leaks"] = _leaks(found)
    different = max(found.exact.disagreements, found.near.disagreements)
    lines["Labels"] = (
        f"[yellow]{count(different, 'pair')} of duplicates with different labels[/]"
        if different
        else "[green]duplicates agree[/]"
        if found.classes
        else "none"
    )
    return lines


def _most(counts: Mapping[str, int], most: int = 4) -> str:
    parts = [f"{escape(shown(name))} [dim]({n:,})[/]" for name, n in list(counts.items())[:most]]
    more = f" and {len(counts) - most:,} more" if len(counts) > most else ""
    return ", ".join(parts) + more if parts else "none"


def _shapes(found: Inspection) -> str:
    few = (
        f"{found.not_square:,} of {count(found.images, 'image')} {'is' if found.not_square == 1 else 'are'} not square"
    )
    return f"{few} (aspect {found.longest:.2f} at most): squashed to a square; --fit pad or crop change that"


def _unreadable(found: Inspection) -> str:
    if not found.bad:
        return "[green]none[/]" if found.pixels_checked else "[green]none[/] [dim](headers alone were read)[/]"
    lines = [f"{escape(shown(name))}: {escape(reason)}" for name, reason in found.bad[:MOST_BAD]]
    more = [f"and {len(found.bad) - MOST_BAD:,} more (--csv lists all)"] if len(found.bad) > MOST_BAD else []
    return "\n".join([f"[red]{count(len(found.bad), 'image')}[/]", *lines, *more])


def _groups(found: Inspection) -> str:
    if found.groups is None:
        return "[dim]none known: images of one patient may be parted (--group-column, --group-pattern)[/]"
    by = f" by {escape(shown(found.groups_by))}" if found.groups_by else ""
    text = f"{found.groups:,}{by}, of at most {count(found.largest_group, 'image')}"
    if found.ungrouped:
        text += f"; {count(found.ungrouped, 'image')} without one"
    crossing = found.leaking_groups
    if crossing:
        return f"{text}; [red]{len(crossing):,} in several splits[/] ({escape(shown_list(crossing, 3))})"
    return f"{text}; [green]none in two splits[/]"


def _copies(copies: Copies) -> str:
    if not copies.pairs:
        return "[green]none[/]"
    return (
        f"{count(copies.images, 'image')} in {count(copies.clusters, 'cluster')}, at most {copies.largest} "
        f"[dim]({count(copies.pairs, 'pair')})[/]"
    )


def _leaks(found: Inspection) -> str:
    lines = [f"[red]{line}[/]" for line in leak_lines(found)]
    return "\n".join(lines) if lines else "[green]none: no duplicate crosses splits[/]"


def leak_lines(found: Inspection) -> list[str]:
    """Say how many test images, then validation images, have a duplicate in what is trained or chosen on."""
    near, exact = (c.crossing if c is not None else {} for c in (found.near, found.exact))
    lines = []
    for one, other in (("test", "train or val"), ("val", "train")):
        key = f"{one} → {other}"
        n = max(near.get(key, 0), exact.get(key, 0))
        if n:
            share = f"{n:,} of {found.split_sizes[one]:,} {one} images"
            lines.append(f"{share} have a duplicate in {other} ({exact.get(key, 0):,} of them exact)")
    return lines


def advice(found: Inspection) -> str:
    """Return in plain sentences what to do before training."""
    steps = [f"Training stops until this is mended: {obstacle}" for obstacle in found.obstacles]
    if found.bad:
        steps.append(
            f"Repair or remove the {count(len(found.bad), 'unreadable image')}, or train with --bad-images skip."
        )
    if found.leaking_groups:
        steps.append(
            "Groups cross the given splits, so scores will be too high: with --split-column none, cass splits by group."
        )
    lines = leak_lines(found)
    if lines:
        steps.append(
            f"{lines[0][0].upper()}{lines[0][1:]}, so scores will be too high: train with --split-by-duplicates, "
            "or say so beside the scores."
        )
    copies = [c for c in (found.exact, found.near) if c is not None]
    different = max((c.disagreements for c in copies), default=0)
    if different:
        steps.append(f"Look at the {count(different, 'pair')} of duplicates with different labels (--csv lists them).")
    missing = [name for name, counts in found.class_counts.items() if not all(counts[s] for s in SPLITS)]
    if missing:
        steps.append(f"Too few images to have every class in every split: {shown_list(missing, 5)}.")
    if found.groups_by == CASE_FOLDERS:
        steps.append(
            "Images are grouped by the folders of cases: if a patient has several cases, find the patient with "
            "--group-pattern, or scores will be too high."
        )
    if found.groups is None:
        steps.append(
            "Which images are of one patient is not known: if any are, say so by --group-column (of a CSV) or "
            "--group-pattern (in the names), or scores will be too high."
        )
    return " ".join(steps) or "Nothing stands in the way."


def training_command(asked: Data, *, seed: int, splits: Path | None) -> str:
    """Return the command that trains on this reading, with every option that made it."""
    words = ["cass", "pretrain", "--data", str(asked.path), *reading_options(asked)]
    words += ["--seed", str(seed)] if seed else []
    words += ["--set", f"data.splits={splits}"] if splits else []
    return shlex.join(words)
