"""Fine-tunings on disk: `runs/<run>/finetune/<variant>/<fraction>/seed<k>/`, a trial each.

A variant is one set of settings (its config.yaml); below it lie the label fractions and the seeds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cass_cli.engine.run_directory import Run, open_run
from cass_cli.errors import RunError, did_you_mean

FOLDER = "finetune"


@dataclass(frozen=True)
class Trial:
    """One training of the arms on one label subset with one seed."""

    variant: Variant
    files: Run
    fraction: float
    seed: int

    @property
    def path(self) -> Path:
        return self.files.path

    @property
    def finished(self) -> bool:
        return self.files.summary.is_file()

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    def summary(self) -> dict[str, Any]:
        """Return what the finished trial said of itself; raise `RunError` if it is damaged."""
        try:
            value: dict[str, Any] = json.loads(self.files.summary.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{self.files.summary} cannot be read: {error}.", hint="Fine-tune again.") from error
        return value


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

    def trial(self, fraction: float, seed: int) -> Trial:
        """Return where the trial is or would be."""
        return Trial(self, Run(self.path / f"{fraction:g}" / f"seed{seed}"), fraction, seed)

    def trials(self) -> list[Trial]:
        """Return the finished trials, by fraction and seed."""
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
    return [Variant(run, path.name) for path in paths if not path.is_symlink() and (path / "config.yaml").is_file()]


def open_variant(out: Path, run: str | None, name: str | None) -> Variant:
    """Return the fine-tuning `name` of the run `run` (below `out`, or a path); the latest where None.

    `run` may also be the path of a variant, or of anything inside one.
    """
    if run is not None and name is None and (inside := _inside_variant(Path(run))):
        return inside
    opened = open_run(out, run)
    known = [variant.name for variant in variants_of(opened)]
    latest = opened.path / FOLDER / "latest"
    if name is None and latest.exists():
        name = latest.resolve().name
    if name in known:
        return Variant(opened, str(name))
    if name is None or not known:
        raise RunError(f"{opened.path} has not been fine-tuned yet.", hint="Do it with: cass finetune")
    raise RunError(
        f"{opened.path} has no fine-tuning '{name}'.{did_you_mean(name, known)}", hint=f"It has: {', '.join(known)}."
    )


def named_variants(out: Path, runs: list[str]) -> list[Variant]:
    """Return the fine-tunings that each of `runs` names: all of a run, or the one at a path; the latest run's if none.

    What was pretrained comes before what was not, so that a table tests it against the baselines.
    """
    found: list[Variant] = []
    named: list[str | None] = [*runs] or [None]
    for run in named:
        inside = _inside_variant(Path(run)) if run else None
        found += [inside] if inside else sorted(variants_of(open_run(out, run)), key=_rank)
    return list(dict.fromkeys(found))


def _rank(variant: Variant) -> tuple[int, str]:
    starts = ("pretrained", "averaged", "imagenet", "random")
    return next((i for i, start in enumerate(starts) if variant.name == start), len(starts)), variant.name


def find_trial(variant: Variant, *, fraction: float | None = None, seed: int | None = None) -> Trial:
    """Return a finished trial: by default that of the largest fraction, and of it the lowest seed."""
    trials = variant.trials()
    if not trials:
        raise RunError(f"{variant.path} has no finished fine-tuning.", hint="Finish it with: cass finetune --resume")
    wanted = max(trial.fraction for trial in trials) if fraction is None else fraction
    fitting = [t for t in trials if t.fraction == wanted and seed in (None, t.seed)]
    if not fitting:
        have = ", ".join(f"{t.fraction:g} with seed {t.seed}" for t in trials)
        asked = f"label fraction {wanted:g}" + ("" if seed is None else f" and seed {seed}")
        raise RunError(f"{variant.path} has no fine-tuning with {asked}.", hint=f"It has: {have}.")
    return fitting[0]


def variant_at(out: Path, name: str) -> tuple[Variant, Path] | None:
    """Return the variant that `name` (below `out`, or a path) is or lies in, and the path; None where there is none."""
    return next(((v, p) for p in (out / name, Path(name)) if (v := _inside_variant(p))), None)


def trial_at(out: Path, name: str) -> Trial | None:
    """Return the trial that `name` is (below `out`, or a path), or of a variant the first of the largest fraction.

    None where it is neither.
    """
    found = variant_at(out, name)
    if found is None:
        return None
    variant, path = found
    below = path.resolve().relative_to(variant.path.resolve()).parts
    named = [t for t in variant.trials() if (f"{t.fraction:g}", f"seed{t.seed}")[: len(below)] == below[:2]]
    if not named:
        raise RunError(f"{path} holds no finished fine-tuning.", hint="Finish it with: cass finetune --resume")
    largest = max(trial.fraction for trial in named)
    return next(trial for trial in named if trial.fraction == largest)


def _inside_variant(path: Path) -> Variant | None:
    """Return the variant that `path` is, or lies in, if it does."""
    resolved = path.resolve()
    for folder in (resolved, *resolved.parents):
        if folder.parent.name == FOLDER and (folder / "config.yaml").is_file():
            return Variant(Run(folder.parent.parent), folder.name)
    return None
