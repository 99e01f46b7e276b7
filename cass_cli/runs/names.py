"""What a name means, the same in every command: a run, one of its fine-tunings, or a part of that.

runs/b, b below --runs, or latest           a run
…/finetune/imagenet                         one of its fine-tunings
…/finetune/imagenet/0.1                     its trials of one label fraction
…/finetune/imagenet/0.1/seed3               one trial
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cass_cli.config.load import Layer
from cass_cli.errors import RunError, did_you_mean
from cass_cli.files import DRAFT
from cass_cli.runs.cross_validation import CrossValidation, cross_validations_of
from cass_cli.runs.directory import Run, barely_begun
from cass_cli.runs.latest import LATEST, by_name, latest_of
from cass_cli.runs.own import check_no_loop, check_own
from cass_cli.runs.trials import FOLDER, Trial, Variant, variants_of


@dataclass(frozen=True)
class Named:
    """What a name means: always a run; the rest where the name says so."""

    run: Run
    variant: Variant | None = None
    fraction: float | None = None
    seed: int | None = None

    def fine_tuning(self, name: str | None = None) -> Variant:
        """Return the fine-tuning that was named, by itself or as `name` of the run; else the run's latest.

        Raises `RunError` where there is none, or the two disagree.
        """
        if self.variant:
            if name in (None, LATEST, self.variant.name):
                return self.variant
            raise RunError(
                f"{self.variant.path} is no fine-tuning '{name}'.", hint="Leave out --variant, or name the run."
            )
        known = [variant.name for variant in variants_of(self.run)]
        if not known:
            hint = f"Do it with: cass finetune{run_flags(self.run, always=True)}"
            raise RunError(f"{self.run.path} has not been fine-tuned yet.", hint=hint)
        if name in (None, LATEST):
            latest = latest_of(self.run.path / FOLDER)
            only = known[0] if len(known) == 1 else LATEST
            name = latest.name if latest and latest.name in known else only
        if name in known:
            return Variant(self.run, name)
        if name == LATEST:
            raise RunError(
                f"Which fine-tuning of {self.run.path}?", hint=f"Name it with --variant: {', '.join(known)}."
            )
        raise RunError(
            f"{self.run.path} has no fine-tuning '{name}'.{did_you_mean(name, known)}",
            hint=f"It has: {', '.join(known)}.",
        )

    def trial(self, variant: str | None = None, *, fraction: float | None = None, seed: int | None = None) -> Trial:
        """Return a finished trial of the fine-tuning: of the largest fraction, and of it the lowest seed, unless said.

        Raises `RunError` where there is none, or the options contradict the name.
        """
        chosen = self.fine_tuning(variant)
        for option, said, asked in (("--label-fraction", self.fraction, fraction), ("--seed", self.seed, seed)):
            if said is not None and asked not in (None, said):
                raise RunError(f"The path names {said:g}, and {option} {asked:g}.", hint=f"Leave out {option}.")
        return _trial_of(chosen, self.fraction or fraction, seed if self.seed is None else self.seed)

    def trials(self) -> list[Trial]:
        """Return all finished trials of what was named, what was pretrained before what was not.

        So a table tests it against the baselines. Raises `RunError` where a fraction or seed was named that has none.
        """
        if self.fraction is not None and not (self.variant and self.variant.crosses):
            self.trial()
        return [
            trial
            for variant in self._variants()
            for trial in variant.trials()
            if self.fraction in (None, trial.fraction) and self.seed in (None, trial.seed)
        ]

    def cross_validations(self) -> dict[Variant, list[CrossValidation]]:
        """Return what the cross-validations found that were named, by fine-tuning, in the order of `trials`."""
        found = {each: cross_validations_of(each, self.fraction) for each in self._variants() if each.crosses}
        return {each: of for each, of in found.items() if of}

    def _variants(self) -> list[Variant]:
        return [self.variant] if self.variant else sorted(variants_of(self.run), key=_rank)


def find(runs: Path, name: str | None, *, beside: Path | None = None) -> Named:
    """Return what `name` means: a name or path below `runs` (or else `beside`), or a path; None is the latest run.

    Raises `RunError` where there is nothing of cass, or in the run something that is not of it.
    """
    if name is None:
        name = LATEST
        if latest_of(runs) is None:
            what = f"{runs} has no latest run." if _names(runs) else f"There is no run in {runs} yet."
            raise RunError(what, hint=_others(runs))
    within = [folder / name for folder in (runs, beside) if folder]
    places = [by_name(path) for path in (*within, Path(name).expanduser())]
    for path in places:
        check_no_loop(path)
    if found := next((named for path in places if (named := _at(path))), None):
        check_own(found.run.path)
        return found
    for path in places:
        if path.parent.name == FOLDER and (path.parent.parent / "config.yaml").is_file():
            Named(Run(path.parent.parent)).fine_tuning(path.name)  # raises: it has none of this name
        if path.exists():
            raise RunError(f"{path} is no run of cass: it has no config.yaml.", hint="Name a folder below runs/.")
    close = did_you_mean(name, [*_names(runs), *(_names(beside) if beside else [])])
    raise RunError(f"There is no run '{name}' in {runs}.{close}", hint=_others(runs))


def find_all(runs: Path, names: Sequence[str]) -> list[Named]:
    """Return what each of `names` means; the latest run where none is named."""
    named: list[str | None] = [*names] or [None]
    return [find(runs, name) for name in named]


def find_runs(runs: Path, names: Sequence[str]) -> list[Run]:
    """Return the runs that each of `names` means or lies in, each once; the latest run where none is named."""
    return list({named.run.path.resolve(): named.run for named in find_all(runs, names)}.values())


def run_to_resume(runs: Path, name: str | None) -> Run | None:
    """Return the run that a pretraining is to go on with; None where it was stopped before it wrote its settings."""
    if name and barely_begun(runs / name) and not Run(runs / name).config.is_file():
        return None
    return find(runs, name).run


def run_to_tune(
    runs: Path, run: str | None, layers: Sequence[Layer], *, preset: str | None, name: str | None, resume: bool
) -> Named | None:
    """Return the run that a fine-tuning is about, the latest if none is named; None where `layers` name images."""
    names_images = preset or any("data.path" in layer.values for layer in layers)
    return None if run is None and not resume and names_images else find(runs, run or name)


def run_flags(run: Run, *, option: str = "--run", always: bool = False) -> str:
    """Return the options, each after a blank, that lead from here to `run`: none for the latest of runs/.

    `option` names it; "" where a command takes the name as it is. With `always` its name is said even so: another
    run may be the latest when the command is given.
    """
    runs, latest = run.path.parent, latest_of(run.path.parent)
    found = [] if runs.resolve() == Path("runs").resolve() else ["--runs", _from_here(runs)]
    if always or latest is None or latest.resolve() != run.path.resolve():
        found += [option, run.path.name] if option else [run.path.name]
    return "".join(f" {shlex.quote(part)}" for part in found)


def variant_flags(variant: Variant) -> str:
    """Return the options, each after a blank, with which `finetune` finds `variant`, whatever is the latest then."""
    return f"{run_flags(variant.run, always=True)} --variant {shlex.quote(variant.name)}"


def trial_flags(trial: Trial) -> str:
    """Return the options, each after a blank, with which `evaluate` and `predict` find `trial`."""
    variant, latest = trial.variant, latest_of(trial.variant.path.parent)
    found = "" if latest and latest.name == variant.name else f" --variant {shlex.quote(variant.name)}"
    usual = Named(variant.run, variant).trial()
    if (usual.fraction, usual.seed) != (trial.fraction, trial.seed):
        found += f" --label-fraction {trial.fraction:g} --seed {trial.seed}"
    return run_flags(variant.run) + found


def _from_here(path: Path) -> str:
    """Return a path as one would type it: relative where it lies below the current folder."""
    resolved, here = path.resolve(), Path.cwd().resolve()
    return str(resolved.relative_to(here)) if resolved.is_relative_to(here) else str(resolved)


def _at(path: Path) -> Named | None:
    """Return what lies at `path`: a run, or (part of) a fine-tuning; None where it is nothing of cass."""
    resolved = path.resolve()
    for folder in (resolved, *resolved.parents):
        run = Run(folder.parent.parent)
        is_run = run.config.exists() and run.splits.exists()  # not any folder with a config.yaml
        if folder.parent.name == FOLDER and (folder / "config.yaml").exists() and is_run:
            return _within(Variant(run, folder.name), resolved.relative_to(folder).parts)
    if path.is_file() or (resolved.name == FOLDER and not (path / "config.yaml").is_file()):
        path, resolved = (path.parent if path.name == resolved.name else resolved.parent), resolved.parent
    if not (path / "config.yaml").is_file():
        return None
    as_given = path.name not in ("", "..") and not path.is_symlink()
    return Named(Run(path if as_given else resolved))


def _within(variant: Variant, parts: tuple[str, ...]) -> Named:
    """Return what the folders `parts` within a fine-tuning mean; those that aren't of a trial mean all of it."""
    try:
        fraction = float(parts[0]) if parts else None
        seed = int(parts[1].removeprefix("seed")) if parts[1:] else None
    except ValueError:
        return Named(variant.run, variant)
    return Named(variant.run, variant, fraction, seed)


def _trial_of(variant: Variant, fraction: float | None, seed: int | None) -> Trial:
    if variant.crosses:
        others = [other.name for other in variants_of(variant.run) if not other.crosses]
        one = (
            f"Name another with --variant: {', '.join(others)}"
            if others
            else f"Make one on the run's own split: cass finetune{run_flags(variant.run, always=True)}"
        )
        raise RunError(
            f"{variant.path} is a cross-validation: it says how well such classifiers do, and keeps none of them.",
            hint=f"{one}\nThe scores of this one: cass compare, or cass report.",
        )
    trials = variant.trials()
    if not trials:
        hint = f"Finish it: cass finetune --resume{variant_flags(variant)}"
        raise RunError(f"{variant.path} has no finished trial.", hint=hint)
    wanted = max(trial.fraction for trial in trials) if fraction is None else fraction
    fitting = [t for t in trials if t.fraction == wanted and seed in (None, t.seed)]
    if not fitting:
        have = ", ".join(f"{t.fraction:g} with seed {t.seed}" for t in trials)
        asked = f"label fraction {wanted:g}" + ("" if seed is None else f" and seed {seed}")
        raise RunError(f"{variant.path} has no finished trial of {asked}.", hint=f"It has: {have}.")
    return fitting[0]


def _rank(variant: Variant) -> tuple[int, str]:
    starts = ("pretrained", "best", "averaged", "imagenet", "random")
    return next((i for i, start in enumerate(starts) if variant.name.split("-")[0] == start), len(starts)), variant.name


def _names(runs: Path) -> list[str]:
    """Return the names of the runs in a folder."""
    beside = sorted(runs.iterdir()) if runs.is_dir() else []
    folders = [path for path in beside if not DRAFT.fullmatch(path.name)]
    return [path.name for path in folders if path.name != LATEST and (path / "config.yaml").is_file()]


def _others(runs: Path) -> str:
    """Return what to try instead."""
    names = _names(runs)
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    what = f"Runs: {shown}" if names else "Start one: cass pretrain --preset demo"
    return f"{what}. Another folder: --runs."
