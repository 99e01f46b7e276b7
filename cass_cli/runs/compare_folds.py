"""Cross-validations beside each other: means over folds with corrected intervals, and tests on the same folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cass_cli.runs.ancestry import older_notes
from cass_cli.runs.compare import CellTest, check_metric
from cass_cli.runs.cross_validation import CrossValidation
from cass_cli.runs.trials import Variant, default_variants
from cass_cli.scores.bootstrap import Estimate
from cass_cli.scores.over_folds import paired_folds
from cass_cli.scores.over_seeds import SeedSummary, holm

ONCE = "pretrained once"  # what a cross-validation is called whose arms were pretrained on tested images


@dataclass(frozen=True)
class FoldCell:
    """The scores of one method, arm and label fraction over its folds."""

    method: str
    candidate: str  # an arm, "mean", "joint", "ensemble" or "pick"
    fraction: float
    labels: int  # training labels seen, on average over the folds
    values: Mapping[int, float]  # by fold
    summary: SeedSummary  # with the corrected interval
    pooled: Estimate  # of all answers together


@dataclass(frozen=True)
class FoldComparison:
    """A table of methods × arms × label fractions, over folds."""

    metric: str
    cells: tuple[FoldCell, ...]
    tests: tuple[CellTest, ...]
    notes: tuple[str, ...]


def compare_folds(crossed: Mapping[Variant, Sequence[CrossValidation]], *, metric: str | None = None) -> FoldComparison:
    """Tabulate the scores and test the first method against each other, where both were tested on the same folds."""
    named = dict(zip(_names(crossed), crossed.values(), strict=True))
    metric = metric or next(iter(named.values()))[0].metric
    check_metric(metric)
    first, *others = named
    pairs = [
        (other, one, two, candidate)
        for other in others
        for one in named[first]
        for two in named[other]
        if one.fraction == two.fraction and one.digest == two.digest
        for candidate in one.values
        if candidate in two.values
    ]
    tests = [
        paired_folds(one.by_fold(candidate, metric), two.by_fold(candidate, metric), max(one.ratio, two.ratio))
        for _, one, two, candidate in pairs
    ]
    adjusted = holm([test.t_p for test in tests])
    return FoldComparison(
        metric=metric,
        cells=tuple(_cell(name, one, each, metric) for name, of in named.items() for one in of for each in one.values),
        tests=tuple(
            CellTest(first, other, candidate, one.fraction, test, p)
            for (other, one, _, candidate), test, p in zip(pairs, tests, adjusted, strict=True)
        ),
        notes=(*_notes(named), *older_notes(t for each, of in crossed.items() for t in each.fold_trials(of[0].seed))),
    )


def _cell(name: str, one: CrossValidation, candidate: str, metric: str) -> FoldCell:
    labels = round(sum(one.labels) / one.folds)
    values, mean = one.by_fold(candidate, metric), one.mean(candidate, metric)
    return FoldCell(name, candidate, one.fraction, labels, values, mean, one.together(candidate, metric))


def _names(crossed: Mapping[Variant, Sequence[CrossValidation]]) -> list[str]:
    """Return what each is called, which is unique: by its method, what leaks, and its own name where it has one."""
    names = []
    for variant, of in crossed.items():
        trials = variant.fold_trials(of[0].seed)
        own = not trials or variant.name not in default_variants(trials[0].summary())
        once = f", {ONCE}" if any(each.leak for each in of) else ""
        names.append(f"{of[0].method}{once}{f' [{variant.name}]' if own else ''}")
    return [
        name if names.count(name) == 1 else f"{name} ({variant.run.path.name})"
        for name, variant in zip(names, crossed, strict=True)
    ]


def _notes(named: Mapping[str, Sequence[CrossValidation]]) -> list[str]:
    notes = [f"{name}: {note}" for name, of in named.items() for one in of for note in (one.leak, *one.notes) if note]
    first, *others = named
    notes += [
        f"{first} and {other} were not tested on the same folds of the same labelled images: each stands for itself, "
        "and no test compares them. Fine-tune both on the same images with the same --folds and --seed."
        for other in others
        if {one.digest for one in named[first]} != {two.digest for two in named[other]}
    ]
    return list(dict.fromkeys(notes))
