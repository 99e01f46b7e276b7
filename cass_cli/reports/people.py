"""What `cass evaluate` tells of patients and of groups of people and pictures."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cass_cli.engine.finetuning.evaluate import Evaluation
from cass_cli.reports.printing import print_sentence
from cass_cli.reports.subgroups_in_words import gap_in_words, lacks_in_words
from cass_cli.reports.tables import print_table, said_with_interval
from cass_cli.scores.metrics import METRICS
from cass_cli.scores.subgroups import Subgroups
from cass_cli.words import count, shown


def show_people(console: Console, found: Evaluation) -> None:
    """Show the pick's scores by patient beside those by image, and each column's groups."""
    pick = found.summary.judgement.pick
    if found.patients:
        console.print()
        print_table(console, _patients_table(found, pick))
        for note in found.patients.notes:
            print_sentence(console, Text(f"• {note}", style="dim"))
    for column, by in found.subgroups.items():
        console.print()
        print_table(console, _groups_table(column, by[pick], pick, patients=any(found.groups or ())))
        print_sentence(console, gap_in_words(by[pick].as_dict()))


def _patients_table(found: Evaluation, pick: str) -> Table:
    assert found.patients, "asked by who shows it"
    images, patients = found.scores[pick], found.patients.scores[pick]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(Text(f"one answer a patient ({pick})"), overflow="fold")
    table.add_column(count(images.images, "image"), justify="right")
    table.add_column(f"{count(patients.images, 'patient')}, {found.patients.rule}", justify="right")
    metric = found.summary.metric
    for name in dict.fromkeys([metric, *METRICS]):
        cells = [said_with_interval(of.metrics[name], 3) for of in (images, patients)]
        table.add_row(METRICS[name], *cells, style="bold" if name == metric else None)
    return table


def _groups_table(column: str, found: Subgroups, pick: str, *, patients: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(Text(f"{shown(column)} ({pick})"), overflow="fold")
    for heading in ("images", *(["groups"] if patients else []), METRICS[found.metric]):
        table.add_column(heading, justify="right")
    table.add_column("", overflow="fold")
    for name, group in found.groups.items():
        counts = [f"{group.images:,}", *([f"{group.units:,}"] if patients else [])]
        why = lacks_in_words(group.lacks, small=group.small)
        table.add_row(Text(shown(name)), *counts, said_with_interval(group.metrics[found.metric], 3), Text(why))
    return table
