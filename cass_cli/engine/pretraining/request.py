"""What a pretraining was asked to be: its settings, or those of the run that it goes on with."""

from __future__ import annotations

from collections.abc import Collection

from cass_cli.config.load import Resolved, read_saved
from cass_cli.config.recipes import MEASURED, RECIPE
from cass_cli.config.recipes import ORIGIN as METHOD
from cass_cli.config.schema import Config
from cass_cli.data.dataset import with_data_path, with_labels_found
from cass_cli.errors import DataError, RunError
from cass_cli.runs.directory import Run, with_moved_labels
from cass_cli.runs.manifest import check_files
from cass_cli.runs.names import run_flags

# Settings that a resumed run may change without becoming another run.
FREE_ON_RESUME = (
    "train.epochs",
    "train.device",
    "train.threads",
    "train.on_collapse",
    "train.probe_every",
    "train.advice",
    "train.save_minutes",
    "train.track",
    "data.cache",
    "data.workers",
)
MOVABLE = ("data.path", "data.labels")  # where the same images and labels are now: `moved.py` looks whether they are


def requested_settings(asked: Resolved, *, preset: str | None, resume: Run | None) -> Resolved:
    """Return the settings of a new run, with its images' folder; or those of the run to `resume`, with what changes."""
    return _resumed(resume, asked) if resume else with_data_path(asked, preset)


def why_method(resolved: Resolved) -> str | None:
    """Return a sentence on the method of a new run, where nobody chose it."""
    if resolved.origins["method.name"] != MEASURED:
        return None
    return (
        f"No --method was named: {resolved.config.method.name}, which gave better starts than ImageNet weights on "
        "held-out images. The paper's is --method cass."
    )


def _resumed(run: Run, asked: Resolved) -> Resolved:
    """Return the saved configuration of `run` with those settings of `asked` that may change.

    Raises `RunError` naming every setting that was asked for and differs from what the run was started with.
    """
    check_files(run.path)
    saved, asked = read_saved(run.config), with_labels_found(asked)
    changed = {
        key: asked.value(key)
        for key, origin in asked.origins.items()
        if not origin.startswith(("default", "preset", METHOD, RECIPE)) and asked.value(key) != saved.value(key)
    }
    for key in ("train.precision", "train.channels_last"):
        if changed.get(key) == "auto":  # which was settled when the run began
            del changed[key]
    movable = [key for key in MOVABLE if saved.value(key) is not None]
    fixed = sorted(set(changed) - {*FREE_ON_RESUME, *movable})
    if fixed:
        lines = [f"{key} was {saved.value(key)}, now {changed[key]}" for key in fixed]
        raise RunError(
            f"{run.path} was started with other settings: {'; '.join(lines)}.",
            hint="Resume without them, or start a new run. These may change: "
            f"{', '.join((*FREE_ON_RESUME, *movable))}.",
        )
    settings = saved.config.model_dump()
    for key, value in changed.items():
        section, field = key.split(".")
        settings[section][field] = value
    origins = {**saved.origins, **{key: asked.origins[key] for key in changed}}
    resumed = with_moved_labels(saved, Resolved(Config.model_validate(settings), origins))
    _check_there(run, resumed, changed)
    return resumed


def _check_there(run: Run, resumed: Resolved, changed: Collection[str]) -> None:
    """Raise `DataError` with the command that goes on where what the run was made from lies there no longer."""
    data = resumed.config.data
    go_on = f"cass pretrain --resume{run_flags(run, option='--name', always=True)}"
    for key, path, what, option in (
        ("data.path", data.path, "images", "--data FOLDER"),
        ("data.labels", data.labels, "labels", "--labels CSV"),
    ):
        if path and key not in changed and not path.exists() and not (key == "data.path" and data.download):
            raise DataError(
                f"The {what} of {run.path} are no longer at {path}.",
                hint=f"Put them back; or, if they were moved, say where they are now: {go_on} {option}",
            )
