"""Fine-tunings on disk: `runs/<run>/finetune/<variant>/<fraction>/seed<k>/`, a trial each.

A variant is one set of settings (its config.yaml); below it lie the label fractions and the seeds. That of a
cross-validation has folds in place of seeds, `…/<fraction>/fold<k>/`, and says in folds.csv who is tested where.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cass_cli.errors import RunError
from cass_cli.files import DRAFT
from cass_cli.runs.directory import Run
from cass_cli.runs.latest import LATEST
from cass_cli.runs.summary import HINT, TrialSummary, read_summary
from cass_cli.scores.calibration import ENSEMBLE

FOLDER = "finetune"


@dataclass(frozen=True)
class Trial:
    """One training of the arms on one label subset with one seed."""

    variant: Variant
    files: Run
    fraction: float
    seed: int
    fold: int = 0  # of a cross-validation, from 1; 0: the run's own split

    @property
    def path(self) -> Path:
        return self.files.path

    @property
    def which(self) -> str:
        """Which of the trials of its label fraction it is, in words."""
        return f"fold {self.fold}" if self.fold else f"seed {self.seed}"

    @property
    def finished(self) -> bool:
        return self.files.summary.is_file()

    @property
    def digest(self) -> str:
        """A mark of what the finished trial said of itself."""
        return hashlib.sha256(self.files.summary.read_bytes()).hexdigest()[:16]

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    def summary(self) -> TrialSummary:
        """Return what the finished trial said of itself; raise `RunError` if it is damaged, or of another trial."""
        found = read_summary(self.files.summary)
        if (f"{found.fraction:g}", found.seed, found.fold) != (f"{self.fraction:g}", self.seed, self.fold):
            fold = f", fold {found.fold}" if found.fold else ""
            other = f"a trial of fraction {found.fraction:g} with seed {found.seed}{fold}"
            raise RunError(f"{self.files.summary} is damaged: it is of {other}.", hint=HINT)
        return found


@dataclass(frozen=True)
class Variant:
    """One set of fine-tuning settings of a run, with its trials."""

    run: Run
    name: str

    @property
    def path(self) -> Path:
        return self.run.path / FOLDER / self.name

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def folds(self) -> Path:
        """Return where a cross-validation says who is tested where."""
        return self.path / "folds.csv"

    @property
    def crosses(self) -> bool:
        """Whether it is a cross-validation, which has folds and no trials."""
        return self.folds.is_file()

    @property
    def averages(self) -> bool:
        """Whether it is an average of other fine-tunings."""
        first = next(iter(self.trials()), None)
        try:
            return first is not None and bool(first.summary().members)
        except RunError:  # damaged: an average has no arms of its own
            return first is not None and not first.files.arms.exists()

    def trial(self, fraction: float, seed: int) -> Trial:
        """Return where the trial is or would be."""
        return Trial(self, Run(self.path / f"{fraction:g}" / f"seed{seed}"), fraction, seed)

    def fold(self, fraction: float, seed: int, fold: int) -> Trial:
        """Return where the trial of a fold is or would be."""
        return Trial(self, Run(self.path / f"{fraction:g}" / f"fold{fold}"), fraction, seed, fold)

    def fold_trials(self, seed: int) -> list[Trial]:
        """Return the finished trials of a cross-validation that was dealt with this seed, by fraction and fold."""
        found = []
        for path in self.path.glob(f"*/fold*/{self.run.summary.name}"):
            try:
                number = int(path.parent.name.removeprefix("fold"))
                found.append(self.fold(float(path.parent.parent.name), seed, number))
            except ValueError:  # a folder that is not ours
                continue
        return sorted(found, key=lambda trial: (trial.fraction, trial.fold))

    def trials(self) -> list[Trial]:
        """Return the finished trials, by fraction and seed; none of a cross-validation, whose models are of folds."""
        found = []
        for path in self.path.glob(f"*/seed*/{self.run.summary.name}"):
            try:
                trial = self.trial(float(path.parent.parent.name), int(path.parent.name.removeprefix("seed")))
            except ValueError:  # a folder that is not ours
                continue
            found.append(trial)
        return sorted(found, key=lambda trial: (trial.fraction, trial.seed))


def variants_of(run: Run) -> list[Variant]:
    """Return the fine-tunings of a run, by name."""
    folder = run.path / FOLDER
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    own = [path for path in paths if path.name != LATEST and not path.is_symlink() and not DRAFT.fullmatch(path.name)]
    return [Variant(run, path.name) for path in own if (path / "config.yaml").exists()]


def trial_at(run: Run, place: str) -> Trial:
    """Return the trial of `run` at FINE-TUNING/FRACTION/seedSEED; raise `RunError` where that is no such place."""
    try:
        name, fraction, seed = place.split("/")
        trial = Variant(run, name).trial(float(fraction), int(seed.removeprefix("seed")))
    except ValueError:
        trial = None
    if trial is None or name in ("", ".", ".."):
        raise RunError(f"'{place}' names no trial of {run.path}.", hint=HINT)
    return trial


def method_name(summary: TrialSummary) -> str:
    """Return what a table calls the way that a trial started."""
    if summary.members:
        return f"Ensemble of {len(summary.members)}"
    pretrained = summary.method.upper()
    names = {
        "pretrained": pretrained,
        "best": f"{pretrained} (best start)",
        "averaged": f"{pretrained} (averaged)",
        "imagenet": "Transfer",
        "random": "From scratch",
    }
    name = names[summary.init]
    name = name if summary.recipe == "paper" else f"{name}, {summary.recipe}"
    name = name if summary.unlabelled == "unused" else f"{name}, {summary.unlabelled}"
    return f"{name}, frozen" if summary.frozen else name


def default_variants(summary: TrialSummary) -> tuple[str, str]:
    """Return the name that a fine-tuning has unless it is given one, and that from before there were recipes."""
    if summary.members:
        return ENSEMBLE, ENSEMBLE
    frozen, folds = summary.frozen, bool(summary.fold)
    name = variant_name(summary.init, summary.recipe, freeze=frozen, unlabelled=summary.unlabelled, folds=folds)
    return name, name.replace("-paper", "")


def variant_name(init: str, recipe: str, *, freeze: bool, unlabelled: str = "unused", folds: bool = False) -> str:
    """Return the name of a fine-tuning with this start and recipe."""
    name = f"{init}-{recipe}" if unlabelled == "unused" else f"{init}-{recipe}-{unlabelled}"
    name = f"{name}-frozen" if freeze else name
    return f"{name}-folds" if folds else name
