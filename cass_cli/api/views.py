"""What the functions of the API hand back: a run and a fine-tuning as they lie on disk, and an evaluation.

Legend: N images, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cass_cli.config.load import read_saved
from cass_cli.data.splits import split_rows
from cass_cli.engine.finetuning.corrupted import Corrupted
from cass_cli.engine.finetuning.evaluate import Evaluation
from cass_cli.reports.clinical import POINT_COLUMNS, pick_notes, point_rows
from cass_cli.reports.evaluation import predictions
from cass_cli.reports.robustness_in_words import COLUMNS, corruption_rows
from cass_cli.runs.cross_validation import cross_validations_of
from cass_cli.runs.directory import Run
from cass_cli.runs.names import Named
from cass_cli.runs.records import ExternalRecord, read_run_summary
from cass_cli.runs.rows import read_epochs
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Variant, variants_of
from cass_cli.scores.metrics import Scores


@dataclass(frozen=True)
class RunView:
    """A run folder. Everything is read when it is asked for; `RunError` names a file that is damaged."""

    path: Path

    @property
    def settings(self) -> dict[str, Any]:
        """Return every setting under its dotted key, as in `optim.lr`."""
        return _settings(Run(self.path).config)

    @property
    def history(self) -> pd.DataFrame:
        """Return metrics.jsonl, a row an epoch.

        Columns: epoch, loss, lr, images, seconds, images_per_second, and by arm `states.cnn` and the collapse gauges
        `gauges.cnn.outputs.cosine` and so on; `probes.cnn.knn.accuracy` in epochs with probes. Without pretraining it
        is empty.
        """
        return pd.json_normalize([dict(row) for row in read_epochs(Run(self.path).metrics)])

    @property
    def splits(self) -> pd.DataFrame:
        """Return splits.csv, a row a file: image, split, label, group, status.

        Several labels of an image are joined by ";". A file that was left out has no split, and a status that says why.
        """
        return pd.DataFrame(split_rows(Run(self.path).splits), columns=["image", "split", "label", "group", "status"])

    @property
    def summary(self) -> dict[str, Any]:
        """Return summary.json: method, epochs, images, loss, seconds, states, gauges, advice; {} until it is finished.

        `seconds` are those of the last process, `advice` tells whether the arms gained over what they began as.
        """
        return dict(read_run_summary(Run(self.path).summary) or {})

    def arms(self) -> dict[str, Path]:
        """Return the weight files of the exported arms by name: cnn, vit, and cnn-averaged, vit-averaged."""
        return {path.stem: path for path in sorted(Run(self.path).arms.glob("*.safetensors"))}

    def finetunings(self) -> list[str]:
        """Return the names of the run's fine-tunings."""
        return [variant.name for variant in variants_of(Run(self.path))]

    def finetuning(self, variant: str | None = None) -> FinetuningView:
        """Return the fine-tuning of this name, else the latest; raise `RunError` where there is none."""
        return finetuning_view(Named(Run(self.path)).fine_tuning(variant))


@dataclass(frozen=True)
class FinetuningView:
    """A fine-tuning of a run: its finished trials, one for each label fraction and seed, or fold."""

    path: Path
    trials: tuple[TrialSummary, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """Return every setting under its dotted key, as in `finetune.recipe`."""
        return _settings(self.path / "config.yaml")

    @property
    def scores(self) -> pd.DataFrame:
        """Return the scores of all trials, one a row, without intervals: those come from `evaluate`, or from seeds.

        Columns: fraction, seed, labels (training labels seen), candidate (cnn, vit, mean, …), recommended (whether
        validation chose it), split (val or test), metric, value (0 … 1; NaN where undefined), fold (of a
        cross-validation; 0: of none). Validation chose weights, temperatures and candidate, so its scores flatter;
        test images had no part in it.
        """
        columns = ["fraction", "seed", "labels", "candidate", "recommended", "split", "metric", "value", "fold"]
        rows = [
            (
                *(t.fraction, t.seed, t.labels, candidate, candidate == t.judgement.pick, split, metric),
                *(_number(value), t.fold),
            )
            for t in self.trials
            for split, found in (("val", t.validation), ("test", t.test))
            for candidate, values in found.items()
            for metric, value in values.items()
        ]
        return pd.DataFrame(rows, columns=columns)

    @property
    def cross_validation(self) -> pd.DataFrame:
        """Return what the folds of a cross-validation say together, a candidate and metric a row; else it is empty.

        Columns: fraction, candidate (pick: what validation chose in each fold), metric, folds (with a score), mean,
        low, high (over folds, with the interval of Nadeau and Bengio), pooled, pooled_low, pooled_high (of all answers
        scored together), leak (what the arms knew of tested images; "": nothing).
        """
        columns = ["fraction", "candidate", "metric", "folds", "mean", "low", "high"]
        columns += ["pooled", "pooled_low", "pooled_high", "leak"]
        rows = []
        for one in cross_validations_of(Variant(Run(self.path.parent.parent), self.path.name)):
            for candidate, of in one.values.items():
                for metric in of:
                    mean, pooled = one.mean(candidate, metric), one.together(candidate, metric)
                    told = (mean.n, mean.mean, mean.low, mean.high, pooled.value, pooled.low, pooled.high)
                    rows.append((one.fraction, candidate, metric, *told, one.leak))
        return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class EvaluationView:
    """The scores of one trial on one split, with 95 % bootstrap intervals, and the answers behind them."""

    path: Path  # of the trial
    split: str
    classes: tuple[str, ...]
    recommended: str  # the candidate that validation chose
    scores: pd.DataFrame  # candidate, metric, value, low, high; NaN where undefined
    per_class: pd.DataFrame  # candidate, class, images, metric, value, low, high
    use: pd.DataFrame  # candidate, class, measure, value, low, high; no class: of all, as the AURC is
    operating_points: pd.DataFrame  # candidate, goal, class, threshold, prevalence, measure, value, low, high
    predictions: pd.DataFrame  # a row an image: image, split, label, chosen, then `cnn:CLASS` and so on
    labels: NDArray[Any]  # int64 [N] of class indices; multi-label int8 [N, C], -1 where unknown
    probabilities: Mapping[str, NDArray[np.float64]]  # [N, C] by candidate, calibrated on validation images
    notes: tuple[str, ...]  # what these scores rest on, and what weakens them
    patients: pd.DataFrame | None  # of patients, as `scores` is of images; None: not asked for
    subgroups: pd.DataFrame  # column, group, images, candidate, metric, value, low, high
    corruptions: pd.DataFrame | None  # candidate, kind, strength (0: clean), metric, value; None: not asked for
    robustness: pd.DataFrame | None  # candidate, kind ("": of all), measure (drop, bce, rce), value, low, high
    external: pd.DataFrame | None  # another site's: candidate, metric, home, difference (theirs − home), low, high


def finetuning_view(variant: Variant, trials: tuple[TrialSummary, ...] | None = None) -> FinetuningView:
    """Return a fine-tuning with these trials, else with all that are finished."""
    if trials is None:
        seed = read_saved(variant.config).config.finetune.seed if variant.crosses else 0
        finished = variant.fold_trials(seed) if variant.crosses else variant.trials()
        trials = tuple(trial.summary() for trial in finished)
    return FinetuningView(variant.path, trials)


def evaluation_view(found: Evaluation) -> EvaluationView:
    """Return what an evaluation found as frames and arrays."""
    candidates, judgement = found.scores.items(), found.summary.judgement
    scores = _score_frame(found.scores)
    groups = [
        (column, group, one.images, name, metric, e.value, e.low, e.high)
        for column, by in found.subgroups.items()
        for name, of in by.items()
        for group, one in of.groups.items()
        for metric, e in one.metrics.items()
    ]
    per_class = [
        (name, label, s.support[c], metric, of[c].value, of[c].low, of[c].high)
        for name, s in candidates
        for metric, of in s.per_class.items()
        for c, label in enumerate(s.classes)
    ]
    columns, rows = predictions(found)
    notes = [*next(iter(found.scores.values())).notes, found.summary.unseen_note, *judgement.notes, *found.notes]
    notes += [*pick_notes(found), *(found.corrupted.notes if found.corrupted else ())]
    return EvaluationView(
        path=found.trial.path,
        split=found.split,
        classes=found.summary.classes,
        recommended=judgement.pick,
        scores=scores,
        per_class=pd.DataFrame(per_class, columns=["candidate", "class", "images", "metric", "value", "low", "high"]),
        use=pd.DataFrame(_use_rows(found), columns=["candidate", "class", "measure", "value", "low", "high"]),
        operating_points=pd.DataFrame(point_rows(found), columns=POINT_COLUMNS),
        predictions=pd.DataFrame(rows, columns=columns),
        labels=found.labels,
        probabilities=dict(found.probabilities),
        notes=tuple(note for note in dict.fromkeys(notes) if note),
        patients=_score_frame(found.patients.scores) if found.patients else None,
        subgroups=pd.DataFrame(
            groups, columns=["column", "group", "images", "candidate", "metric", "value", "low", "high"]
        ),
        corruptions=_corruption_frame(found.corrupted) if found.corrupted else None,
        robustness=_robustness_frame(found.corrupted) if found.corrupted else None,
        external=_beside_home(found.external) if found.external else None,
    )


def _score_frame(scores: Mapping[str, Scores]) -> pd.DataFrame:
    rows = [(name, metric, e.value, e.low, e.high) for name, s in scores.items() for metric, e in s.metrics.items()]
    return pd.DataFrame(rows, columns=["candidate", "metric", "value", "low", "high"])


def _corruption_frame(found: Corrupted) -> pd.DataFrame:
    return pd.DataFrame(corruption_rows(found.as_dict()), columns=COLUMNS)


def _robustness_frame(found: Corrupted) -> pd.DataFrame:
    nan, rows = float("nan"), list[tuple[Any, ...]]()
    for name, of in found.candidates.items():
        rows.append((name, "", "drop", of.drop.value, of.drop.low, of.drop.high))
        for measure, values, mean in (("bce", of.bce, of.mean_bce), ("rce", of.rce, of.mean_rce)):
            rows += [(name, kind, measure, value, nan, nan) for kind, value in {**values, "": mean}.items()]
    return pd.DataFrame(rows, columns=["candidate", "kind", "measure", "value", "low", "high"])


def _beside_home(record: ExternalRecord) -> pd.DataFrame:
    rows = [
        (name, metric, home, *map(_number, (drop["value"], drop["low"], drop["high"])))
        for name, values in record["home"].items()
        for metric, home in values.items()
        for drop in [record["drops"][name][metric]]
    ]
    return pd.DataFrame(rows, columns=["candidate", "metric", "home", "difference", "low", "high"])


def _use_rows(found: Evaluation) -> list[tuple[Any, ...]]:
    return [
        (name, label, kind, one.value, one.low, one.high)
        for name, use in found.use.items()
        for label, of in [*use.per_class.items(), ("", {"aurc": use.aurc, "risk": use.risk})]
        for kind, one in of.items()
    ]


def _settings(config: Path) -> dict[str, Any]:
    saved = read_saved(config)
    return {key: saved.value(key) for key in saved.origins}


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
