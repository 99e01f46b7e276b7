"""What `cass evaluate` tells of acting upon answers: operating points, calibration, and the curves as a CSV."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cass_cli.engine.finetuning.evaluate import Evaluation
from cass_cli.reports.csv_files import write_csv
from cass_cli.reports.printing import print_sentence
from cass_cli.reports.tables import print_table, said_with_interval
from cass_cli.scores.operating import ClassPoint, OperatingPoint
from cass_cli.scores.use import (
    DECISION_THRESHOLDS,
    MOST_TOLD,
    RECALIBRATION,
    answered,
    net_benefit,
    precision_recall,
    risk_coverage,
)
from cass_cli.scores.values import Floats, against_rest
from cass_cli.words import shown

POINT_COLUMNS = ("candidate", "goal", "class", "threshold", "prevalence", "measure", "value", "low", "high")
CURVE_COLUMNS = ("curve", "candidate", "class", "threshold", "x", "y", "of_all")
MOST_POINTS = 200  # of a curve in the CSV, evenly spread


def show_clinical(console: Console, found: Evaluation, *, most: int) -> None:
    """Show the pick's operating points, a table each, and in a sentence its calibration and what abstaining gains.

    Of more than `most` classes no table is shown.
    """
    pick = found.summary.judgement.pick
    for point in found.operating_points.get(pick, ()):
        if len(point.classes) <= most:
            console.print()
            print_table(console, _points_table(point, pick))
    use = found.use[pick]
    said = []
    if len(use.per_class) == 1:
        ((name, of),) = use.per_class.items()
        told = ", ".join(f"{RECALIBRATION[kind]} {said_with_interval(of[kind])}" for kind in ("slope", "intercept"))
        said.append(f"Calibration of {shown(name)!r} ({pick}): {told}.")
    if not isnan(use.aurc.value):
        area = said_with_interval(use.aurc, 3)
        said.append(
            f"Abstaining ({pick}): area under the risk–coverage curve {area}; if all are answered, "
            f"{100 * use.risk.value:.3g} % are wrong."
        )
    if said:
        console.print()
    for sentence in said:
        print_sentence(console, Text(sentence))


def _points_table(point: OperatingPoint, pick: str) -> Table:
    assumed = [at.assumed for at in point.classes.values() if not isnan(at.assumed)]
    table = Table(
        box=None, pad_edge=False, header_style="bold", title=Text(f"Threshold for {point.goal} on validation images")
    )
    table.add_column(Text(f"class ({pick})"), overflow="fold")
    headings = ["at", "sensitivity", "specificity", "PPV", "NPV", "LR+", "LR−"]
    headings += ["at prevalence", "PPV", "NPV"] if assumed else []
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, at in point.classes.items():
        table.add_row(Text(shown(name)), *_point_cells(at, more=bool(assumed)))
    return table


def _point_cells(at: ClassPoint, *, more: bool) -> list[str]:
    cells = [
        _number(at.threshold, 3),
        *(said_with_interval(at.measures[kind]) for kind in ("sensitivity", "specificity")),
    ]
    cells += [_number(at.measures[kind].value) for kind in ("ppv", "npv", "lr_plus", "lr_minus")]
    if more:
        other = at.assumed
        share = "–" if isnan(other) else f"{100 * other:.3g} %"
        cells += [share, *(_number(at.at_assumed[kind].value, 3) for kind in ("ppv", "npv"))]
    return cells


def pick_notes(found: Evaluation) -> list[str]:
    """Return what is to be known of the pick's operating points and calibration."""
    pick = found.summary.judgement.pick
    of_points = [note for point in found.operating_points.get(pick, ()) for note in point.notes]
    return [*of_points, *found.use[pick].notes]


def point_rows(found: Evaluation) -> list[tuple[Any, ...]]:
    """Return the POINT_COLUMNS of all candidates; those at an assumed prevalence have it in that column."""
    return [
        (name, point.goal, label, at.threshold, prevalence, kind, one.value, one.low, one.high)
        for name, points in found.operating_points.items()
        for point in points
        for label, at in point.classes.items()
        for prevalence, measures in ((at.prevalence, at.measures), (at.assumed, at.at_assumed))
        if not isnan(prevalence)
        for kind, one in measures.items()
    ]


def write_curves(found: Evaluation, path: Path) -> Path:
    """Write the CURVE_COLUMNS of all curves of all candidates: of each up to `MOST_POINTS` points.

    x and y are recall and precision; threshold and net benefit, with that of acting on all; or coverage and risk, which
    are of all classes. Of more than `MOST_TOLD` classes only the last are written.
    """
    return write_csv(path, CURVE_COLUMNS, _curve_rows(found))


def _curve_rows(found: Evaluation) -> Iterator[tuple[Any, ...]]:
    told = found.told if len(found.told) <= MOST_TOLD else ()
    truth = against_rest(found.labels, told)
    for name, given in found.probabilities.items():
        for t, c in enumerate(told):
            label, known = found.summary.classes[c], truth[:, t] >= 0
            there, p = truth[known, t] == 1, given[known, c]
            if there.any():
                for at, x, y in _thinned(*precision_recall(there, p)):
                    yield "precision-recall", name, label, at, x, y, ""
            if len(there):
                for at, y, of_all in zip(DECISION_THRESHOLDS, *net_benefit(there, p, DECISION_THRESHOLDS), strict=True):
                    yield "decision", name, label, float(at), float(at), float(y), float(of_all)
        answers = answered(found.labels, given, thresholds=found.summary.judgement.threshold(name))
        for at, x, y in _thinned(*risk_coverage(answers)):
            yield "risk-coverage", name, "", at, x, y, ""


def _thinned(*columns: Floats) -> Iterator[tuple[float, ...]]:
    places = np.unique(np.linspace(0, len(columns[0]) - 1, MOST_POINTS).round().astype(np.int64))
    for row in zip(*(column[places] for column in columns), strict=True):
        yield tuple(map(float, row))


def _number(value: float, digits: int = 2) -> str:
    return "–" if isnan(value) else f"{value:.{digits}f}"
