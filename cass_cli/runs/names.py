"""What a name means: a run, a fine-tuning, a trial, by name, by path, or the latest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cass_cli.errors import RunError, did_you_mean
from cass_cli.runs.directory import Run
from cass_cli.runs.trials import FOLDER, Trial, Variant, variants_of


def open_run(out: Path, name: str | None) -> Run:
    """Return the run `name` (a name below `out`, or a path), or the latest one when `name` is None."""
    if name is None:
        latest = out / "latest"
        if not latest.exists():
            raise RunError(f"There is no run in {out} yet.", hint="Start one: cass pretrain --preset demo")
        return Run(latest.resolve())
    for path in (out / name, Path(name)):
        if (path / "config.yaml").is_file():
            return Run(path.resolve() if path.is_symlink() else path)
    names = [path.name for path in out.iterdir() if path.is_dir()] if out.is_dir() else []
    raise RunError(
        f"There is no run '{name}' in {out}.{did_you_mean(name, names)}",
        hint=f"Runs: {', '.join(sorted(names)) or 'none yet'}.",
    )


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


def open_runs(out: Path, names: Sequence[str]) -> list[Run]:
    """Return the runs `names` (below `out`, or paths), each once; the latest run where none is named.

    The path of a fine-tuning stands for the run that it belongs to.
    """
    found: dict[Path, Run] = {}
    named: list[str | None] = [*names] or [None]
    for name in named:
        inside = variant_at(out, name) if name else None
        folder = next((p for p in (out / name, Path(name)) if p.is_dir()), None) if name else None
        if folder and not inside and not (folder / "config.yaml").is_file():
            raise RunError(f"{folder} is no run of cass: it has no config.yaml.", hint="Name a folder below runs/.")
        run = inside[0].run if inside else open_run(out, name)
        found.setdefault(run.path.resolve(), run)
    return list(found.values())
