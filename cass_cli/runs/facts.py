"""The facts of one run or several, gathered from their folders for a report; nothing is computed anew or changed.

Only what the run directories say is told: what a run has not done yet is named as missing, with the command
that would do it.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from cass_cli.config.load import Resolved, known_keys, read_saved
from cass_cli.config.schema import Config
from cass_cli.errors import RunError
from cass_cli.runs.ancestry import older_notes
from cass_cli.runs.compare import Comparison, compare, trials_by_method
from cass_cli.runs.directory import Run
from cass_cli.runs.images_used import ImagesUsed, images_used
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Trial, Variant, method_name, variants_of


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
    evaluations: Mapping[str, Mapping[str, Any]]  # what `cass evaluate` found, by split
    figures: tuple[Path, ...]


@dataclass(frozen=True)
class FineTuning:
    """One set of fine-tuning settings, with its trials."""

    name: str
    method: str
    settings: tuple[Setting, ...]  # of the fine-tuning, and what else differs from the run's
    trials: tuple[Tuned, ...]
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
    config: Config
    state: str  # "finished", "unfinished" or "not pretrained"
    epochs: int  # done
    go_on: str  # command that finishes an unfinished run, else ""
    settings: tuple[Setting, ...]
    images: ImagesUsed | None
    rows: tuple[Mapping[str, Any], ...]  # metrics.jsonl, an epoch each
    summary: Mapping[str, Any]  # summary.json; {} unless pretraining ended
    finetunings: tuple[FineTuning, ...]
    figures: tuple[Path, ...]
    cost: Cost
    environment: Mapping[str, Any]
    commands: tuple[str, ...]  # that made the run, in order

    @property
    def name(self) -> str:
        return self.run.path.resolve().name

    @property
    def device(self) -> str:
        """What it ran on, in words."""
        ended = [f"{self.summary['device']}, {self.summary['precision']}"] if self.summary else []
        trials = [tuned.summary for each in self.finetunings for tuned in each.trials]
        said = next(iter([*ended, *(f"{trial.device}, {trial.precision}" for trial in trials)]), "not recorded")
        gpu = self.environment.get("gpu")
        return f"{said} ({gpu})" if gpu and said.startswith("cuda") else said


@dataclass(frozen=True)
class Report:
    """One or more runs, and their fine-tunings beside each other."""

    runs: tuple[RunFacts, ...]
    comparison: Comparison | None  # None: nothing is fine-tuned


def gather_report(runs: Sequence[Run], *, check_leaks: bool = False) -> Report:
    """Read everything that the folders of `runs` hold. Raises `CassError` for what is damaged."""
    trials = [trial for run in runs for variant in variants_of(run) for trial in variant.trials()]
    return Report(
        runs=tuple(_facts(run, check_leaks=check_leaks) for run in runs),
        comparison=compare(trials_by_method(trials), notes=older_notes(trials)) if trials else None,
    )


def _facts(run: Run, *, check_leaks: bool) -> RunFacts:
    saved, rows, summary = read_saved(run.config), run.rows(), _read_json(run.summary)
    finetunings = tuple(_fine_tuning(variant, saved) for variant in variants_of(run))
    trials = [tuned for finetuning in finetunings for tuned in finetuning.trials]
    state, go_on = _state(run, saved.config, rows, summary, finetuned=bool(finetunings))
    environment = _read_json(run.path / "environment.json")
    commands = [_command(environment), *(finetuning.command for finetuning in finetunings)]
    return RunFacts(
        run=run,
        config=saved.config,
        state=state,
        epochs=rows[-1]["epoch"] if rows else 0,
        go_on=go_on,
        settings=_settings(saved, Resolved(Config(), dict.fromkeys(saved.origins, "default"))),
        images=images_used(
            run,
            saved.config,
            multilabel=trials[0].summary.multilabel if trials else None,
            check_leaks=check_leaks,
        ),
        rows=tuple(rows),
        summary=summary,
        finetunings=finetunings,
        figures=_figures(run.path / "figures"),
        cost=_cost(rows, trials),
        environment=environment,
        commands=tuple(dict.fromkeys(command for command in commands if command)),
    )


def _state(
    run: Run, config: Config, rows: Sequence[Mapping[str, Any]], summary: Mapping[str, Any], *, finetuned: bool
) -> tuple[str, str]:
    """Return the state of the pretraining, and the command that goes on with it."""
    if not rows and not summary and finetuned:
        return "not pretrained", ""
    if summary and summary.get("epochs", 0) >= config.train.epochs:
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


def _fine_tuning(variant: Variant, run: Resolved) -> FineTuning:
    saved = read_saved(variant.config)
    trials = tuple(_tuned(trial) for trial in variant.trials())
    begun = sum(path.is_dir() for path in variant.path.glob("*/seed*"))
    base = run.config.model_copy(update={"finetune": Config().finetune})
    return FineTuning(
        name=variant.name,
        method=method_name(trials[0].summary) if trials else variant.name,
        settings=_settings(saved, Resolved(base, run.origins), only="finetune."),
        trials=trials,
        unfinished=begun - len(trials),
        older=" ".join(older_notes(tuned.trial for tuned in trials)),
        command=_command(_read_json(variant.path / "environment.json")),
    )


def _tuned(trial: Trial) -> Tuned:
    found = {path.stem.removeprefix("evaluation-"): _read_json(path) for path in trial.path.glob("evaluation-*.json")}
    return Tuned(trial, trial.summary(), dict(sorted(found.items(), reverse=True)), _figures(trial.figures))


def _figures(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(path for path in folder.glob("*.png") if path.is_file()))


def _cost(rows: Sequence[Mapping[str, Any]], trials: Sequence[Tuned]) -> Cost:
    seconds = sum(row["seconds"] for row in rows)
    speeds = [row["images_per_second"] for row in rows if row.get("images_per_second")]
    return Cost(
        pretraining_seconds=seconds,
        images_per_second=median(speeds) if speeds else math.nan,
        waiting_share=sum(row.get("waiting", math.nan) for row in rows) / seconds if seconds else math.nan,
        finetuning_seconds=sum(tuned.summary.seconds for tuned in trials),
        trials=len(trials),
    )


def _read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, {} where there is no such file; raise `RunError` for a damaged one."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}.", hint="Restore it, or make it again.") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} is damaged: it holds no JSON object.", hint="Restore it, or make it again.")
    return value


def _command(environment: Mapping[str, Any]) -> str:
    """Return the command that an environment.json names, quoted for a shell."""
    return shlex.join(str(word) for word in environment.get("command", ()))
