"""The facts of one run or several, gathered from their folders for a report; nothing is computed anew or changed.

Only what the run directories say is told: what a run has not done yet is named as missing, with the command
that would do it; a file that is damaged is named, and the rest told without it.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, ParamSpec, TypeVar

from PIL import Image

from cass_cli.config.load import Resolved, known_keys, read_saved
from cass_cli.config.schema import Config
from cass_cli.errors import CassError, RunError
from cass_cli.places import without_folders
from cass_cli.runs.ancestry import older_notes
from cass_cli.runs.compare import Comparison, compare, trials_by_method
from cass_cli.runs.compare_folds import FoldComparison, compare_folds
from cass_cli.runs.cross_validation import CrossValidation, cross_validations_of
from cass_cli.runs.directory import Run
from cass_cli.runs.images_used import ImagesUsed, images_used
from cass_cli.runs.latest import latest_of
from cass_cli.runs.manifest import check_files
from cass_cli.runs.records import (
    Environment,
    EvaluationRecord,
    RunSummary,
    read_environment,
    read_evaluation,
    read_run_summary,
)
from cass_cli.runs.rows import EpochRow, read_epochs
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import FOLDER, Trial, Variant, method_name, variants_of
from cass_cli.scores.over_seeds import SeedSummary, summarise_seeds
from cass_cli.words import count

CARD = "model-card.md"  # that `cass card` writes into a trial
MOST_BYTES, MOST_PIXELS = 20_000_000, 50_000_000  # of a figure in a report, far beyond those that cass draws

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Setting:
    """One setting of a run: what it was, who decided that, and what it means."""

    key: str
    value: Any
    origin: str
    about: str
    changed: bool  # not the default


@dataclass(frozen=True)
class Tuned:
    """One finished trial of a fine-tuning."""

    trial: Trial
    summary: TrialSummary
    evaluations: Mapping[str, EvaluationRecord]  # what `cass evaluate` found, by split
    figures: tuple[Path, ...]
    over_seeds: SeedSummary | None = None  # of its pick's headline metric on the test split; None: a single seed
    pages: tuple[str, ...] = ()  # of `cass errors`, in its folder
    has_card: bool = False  # of `cass card`


@dataclass(frozen=True)
class FineTuning:
    """One set of fine-tuning settings, with its trials."""

    name: str
    method: str
    settings: tuple[Setting, ...]  # of the fine-tuning, and what else differs from the run's
    trials: tuple[Tuned, ...]
    folds: tuple[TrialSummary, ...]  # those of a cross-validation that are finished
    crossed: tuple[CrossValidation, ...]  # what all folds of a label fraction say together
    crosses: bool  # whether it is a cross-validation
    unfinished: int
    older: str  # says that it is older than the run's arms, else ""
    command: str


@dataclass(frozen=True)
class Cost:
    """What the run took, added up over its epochs and trials."""

    pretraining_seconds: float
    images_per_second: float  # median over the epochs; NaN without pretraining
    waiting_share: float  # of the pretraining's time, spent waiting for images; NaN when not known
    finetuning_seconds: float
    trials: int


@dataclass(frozen=True)
class RunFacts:
    """All that a report says of one run."""

    run: Run
    config: Config | None  # None: damaged
    state: str  # "finished", "unfinished", "not pretrained", or "damaged" where its settings are
    epochs: int  # done
    go_on: str  # command that finishes an unfinished run, else ""
    settings: tuple[Setting, ...]
    images: ImagesUsed | None
    rows: tuple[EpochRow, ...]  # metrics.jsonl
    summary: RunSummary | None  # None unless pretraining ended
    finetunings: tuple[FineTuning, ...]
    latest_finetuning: str  # which of them `cass predict` takes unless told otherwise; "": none
    figures: tuple[Path, ...]
    cost: Cost
    environment: Environment | None
    commands: tuple[str, ...]  # that made the run, in order
    damaged: tuple[str, ...]  # sentences on the files that could not be read

    @property
    def name(self) -> str:
        return self.run.path.resolve().name

    @property
    def device(self) -> str:
        """What it ran on, in words."""
        ended = [f"{self.summary['device']}, {self.summary['precision']}"] if self.summary else []
        trials = [s for each in self.finetunings for s in (*(tuned.summary for tuned in each.trials), *each.folds)]
        said = next(iter([*ended, *(f"{trial.device}, {trial.precision}" for trial in trials)]), "not recorded")
        gpu = self.environment.get("gpu") if self.environment else None
        return f"{said} ({gpu})" if gpu and said.startswith(("cuda", "mps")) else said


@dataclass(frozen=True)
class Report:
    """One or more runs, and their fine-tunings beside each other."""

    runs: tuple[RunFacts, ...]
    comparison: Comparison | None  # None: nothing is fine-tuned on the runs' own splits
    folds: FoldComparison | None  # None: nothing is cross-validated


def gather_report(runs: Sequence[Run], *, check_leaks: bool = False) -> Report:
    """Read everything that the folders of `runs` hold; what is damaged is named in `RunFacts.damaged`.

    Raises `RunError` where nothing of a run can be read, and what the images raise with `check_leaks`.
    """
    facts = tuple(_facts(run, check_leaks=check_leaks) for run in runs)
    trials = [tuned.trial for each in facts for tuning in each.finetunings for tuned in tuning.trials]
    crossed = {
        Variant(each.run, tuning.name): tuning.crossed
        for each in facts
        for tuning in each.finetunings
        if tuning.crossed
    }
    return Report(
        runs=facts,
        comparison=compare(trials_by_method(trials), notes=older_notes(trials)) if trials else None,
        folds=compare_folds(crossed) if crossed else None,
    )


class _Damage(list[str]):
    """Sentences on what could not be read."""

    def told(self, read: Callable[P, T], *given: P.args, **named: P.kwargs) -> T | None:
        """Return what `read` returns; where a file is damaged note that, and return None."""
        try:
            return read(*given, **named)
        except CassError as error:
            self.append(error.what)
            return None


def _facts(run: Run, *, check_leaks: bool) -> RunFacts:
    damage = _Damage()
    damage.told(check_files, run.path)
    saved = damage.told(read_saved, run.config)
    config = saved.config if saved else None
    rows = damage.told(read_epochs, run.metrics) or []
    summary = damage.told(read_run_summary, run.summary)
    finetunings = tuple(_fine_tuning(variant, saved, damage) for variant in variants_of(run))
    trials = [s for tuning in finetunings for s in (*(tuned.summary for tuned in tuning.trials), *tuning.folds)]
    environment = damage.told(read_environment, run.path / "environment.json")
    commands = [_command(environment), *(finetuning.command for finetuning in finetunings)]
    multilabel = trials[0].multilabel if trials else None
    if check_leaks:  # whoever asks for it is told at once why it can't be done
        images = images_used(run, config, multilabel=multilabel, check_leaks=True)
    else:
        images = damage.told(images_used, run, config, multilabel=multilabel, check_leaks=False)
    if not (saved or rows or summary or trials or images):
        raise RunError(f"Nothing of {run.path} can be read. {damage[0]}", hint="Restore it from a copy.")
    state, go_on = _state(run, config, rows, summary, finetuned=bool(finetunings))
    figures = _figures(run.path / "figures", damage)
    _check_rows(run, rows, summary, damage)
    return RunFacts(
        run=run,
        config=config,
        state=state,
        epochs=rows[-1]["epoch"] if rows else 0,
        go_on=go_on,
        settings=_settings(saved, Resolved(Config(), dict.fromkeys(saved.origins, "default"))) if saved else (),
        images=images,
        rows=tuple(rows),
        summary=summary,
        finetunings=finetunings,
        latest_finetuning=latest.name if (latest := latest_of(run.path / FOLDER)) else "",
        figures=figures,
        cost=_cost(rows, trials),
        environment=environment,
        commands=tuple(dict.fromkeys(command for command in commands if command)),
        damaged=tuple(damage),
    )


def _check_rows(run: Run, rows: Sequence[EpochRow], summary: RunSummary | None, damage: _Damage) -> None:
    """Note which epochs of the run have no row any more."""
    if rows and rows[0]["epoch"] > 1:
        damage.append(f"{run.metrics} begins with epoch {rows[0]['epoch']}: those before are not shown.")
    done = rows[-1]["epoch"] if rows else 0
    if summary and done < summary["epochs"] and not any(str(run.metrics) in said for said in damage):
        trained = count(summary["epochs"], "epoch")
        damage.append(f"{run.metrics} is damaged: {trained} were trained, and it ends with epoch {done}.")


def _state(
    run: Run, config: Config | None, rows: Sequence[EpochRow], summary: RunSummary | None, *, finetuned: bool
) -> tuple[str, str]:
    """Return the state of the pretraining, and the command that goes on with it."""
    if not rows and not summary and finetuned:
        return "not pretrained", ""
    if config is None:
        return "damaged", ""
    if summary and summary["epochs"] >= config.train.epochs:
        return "finished", ""
    runs, name = shlex.quote(str(run.path.parent)), shlex.quote(run.path.name)
    return "unfinished", f"cass pretrain --resume --runs {runs} --name {name}"


def _settings(saved: Resolved, base: Resolved, *, only: str = "") -> tuple[Setting, ...]:
    """Return the settings; `changed` against `base`. With `only`, those of that section and what else differs."""
    about = known_keys()
    found = [
        Setting(key, saved.value(key), origin, about[key], changed=saved.value(key) != base.value(key))
        for key, origin in saved.origins.items()
    ]
    return tuple(s for s in found if not only or s.key.startswith(only) or s.changed)


def _fine_tuning(variant: Variant, run: Resolved | None, damage: _Damage) -> FineTuning:
    damage.told(check_files, variant.path)
    saved, found = damage.told(read_saved, variant.config), variant.trials()
    whole = (damage.told(_tuned, trial, damage) for trial in found)
    trials = _with_seeds([tuned for tuned in whole if tuned])
    crossed = damage.told(cross_validations_of, variant) or [] if variant.crosses else []
    seed = saved.config.finetune.seed if saved else 0
    ended = variant.fold_trials(seed) if variant.crosses else []
    folds = [summary for trial in ended if (summary := damage.told(trial.summary))]
    begun = sum(path.is_dir() for path in variant.path.glob("*/fold*" if variant.crosses else "*/seed*"))
    settings: tuple[Setting, ...] = ()
    if saved:
        base = (run or saved).config.model_copy(update={"finetune": Config().finetune})
        settings = _settings(saved, Resolved(base, saved.origins), only="finetune.")
    environment = damage.told(read_environment, variant.path / "environment.json")
    return FineTuning(
        name=variant.name,
        method=method_name(summaries[0]) if (summaries := [*(t.summary for t in trials), *folds]) else variant.name,
        settings=settings,
        trials=trials,
        folds=tuple(folds),
        crossed=tuple(crossed),
        crosses=variant.crosses,
        unfinished=begun - len(found) - len(ended),
        older=" ".join(older_notes([*(tuned.trial for tuned in trials), *(ended if len(folds) == len(ended) else ())])),
        command=_command(environment),
    )


def _tuned(trial: Trial, damage: _Damage) -> Tuned:
    summary = trial.summary()
    paths = sorted(trial.path.glob("evaluation-*.json"), reverse=True)
    found = {path: damage.told(read_evaluation, path) for path in paths}
    evaluations = {path.stem.removeprefix("evaluation-"): each for path, each in found.items() if each}
    pages = tuple(sorted(path.name for path in trial.path.glob("errors-*.html")))
    card = (trial.path / CARD).is_file()
    return Tuned(trial, summary, evaluations, _figures(trial.figures, damage), pages=pages, has_card=card)


def _with_seeds(trials: Sequence[Tuned]) -> tuple[Tuned, ...]:
    """Return the trials, each with what its pick scores over all seeds of its label fraction."""
    found = []
    for tuned in trials:
        own = tuned.summary
        alike = [each.summary for each in trials if each.summary.fraction == own.fraction]
        scores = (each.test.get(each.judgement.pick, {}).get(own.metric) for each in alike)
        values = [value for value in scores if value is not None]
        found.append(replace(tuned, over_seeds=summarise_seeds(values)) if len(values) > 1 else tuned)
    return tuple(found)


def _figures(folder: Path, damage: _Damage) -> tuple[Path, ...]:
    """Return the figures in a folder that are whole."""
    paths = sorted(folder.glob("*.png"))
    return tuple(path for path in paths if damage.told(_check_figure, path))


def _check_figure(path: Path) -> bool:
    try:
        size = path.stat().st_size
        with Image.open(path, formats=["PNG"]) as image:  # which only reads its head
            if size > MOST_BYTES or image.width * image.height > MOST_PIXELS:
                raise RunError(
                    f"{path} is too large for a report: {image.width} × {image.height}, {size / 1e6:,.0f} MB."
                )
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # Pillow's for a broken PNG
        raise RunError(f"{path} is damaged: it is no readable figure.") from error
    return True


def _cost(rows: Sequence[EpochRow], trials: Sequence[TrialSummary]) -> Cost:
    seconds = sum(row["seconds"] for row in rows)
    speeds = [speed for row in rows if (speed := row.get("images_per_second"))]
    return Cost(
        pretraining_seconds=seconds,
        images_per_second=median(speeds) if speeds else math.nan,
        waiting_share=sum(row.get("waiting", math.nan) for row in rows) / seconds if seconds else math.nan,
        finetuning_seconds=sum(trial.seconds for trial in trials),
        trials=len(trials),
    )


def _command(environment: Environment | None) -> str:
    """Return the command that an environment.json names, quoted for a shell, without folders of an older one's."""
    return shlex.join(map(without_folders, environment.get("command", ()))) if environment else ""
