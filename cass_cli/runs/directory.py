"""A run on disk: what was asked, what happened, and what came out (see docs/runs.md for the layout)."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cass_cli import __version__
from cass_cli.config.load import Layer, Resolved, read_saved
from cass_cli.config.recipes import resolve_over
from cass_cli.errors import RunError
from cass_cli.files import DRAFT, append_text, is_draft, remove, telling, whole_file, write_text
from cass_cli.places import for_windows, why_not_on_windows, without_folders
from cass_cli.reading import read_bytes
from cass_cli.runs.latest import INSTEAD, LATEST
from cass_cli.runs.own import check_no_loop
from cass_cli.runs.rows import HINT, AnyRow, read_rows, rows_until
from cass_cli.runs.writers import LOCKS
from cass_cli.words import seen, shown

_PACKAGES = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "pillow", "safetensors")


@dataclass(frozen=True)
class Run:
    """The files of one run."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def splits(self) -> Path:
        return self.path / "splits.csv"

    @property
    def subgroups(self) -> Path:
        """Return where sex, age, site and the like of the images are kept, if a table tells them."""
        return self.path / "subgroups.csv"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoints" / "last" / "state.pt"

    @property
    def targets(self) -> Path:
        """Return what a run of distill learns."""
        return self.path / "checkpoints" / "targets.pt"

    @property
    def features(self) -> Path:
        """Return where what frozen arms know of the images is kept, for all fine-tunings."""
        return self.path / "features"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def trackers(self) -> Path:
        """Return what trackers were told of the curve."""
        return self.path / "trackers.json"

    @property
    def arms(self) -> Path:
        return self.path / "arms"

    def arm(self, name: str, *, averaged: bool = False) -> Path:
        """Return the weight file of a pretrained arm."""
        return self.arms / f"{name}{'-averaged' if averaged else ''}.safetensors"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    def log(self, row: Mapping[str, Any]) -> None:
        """Append one row to metrics.jsonl."""
        append_text(self.metrics, json.dumps(row) + "\n", hint="Then go on with --resume.")

    def rows(self, kind: type[AnyRow]) -> list[AnyRow]:
        """Return the rows of metrics.jsonl as `read_rows` does."""
        return read_rows(self.metrics, kind)

    def metrics_mark(self) -> dict[str, Any]:
        """Return the length in bytes and a digest of metrics.jsonl, for a checkpoint to hold."""
        text = self._log() if self.metrics.is_file() else b""
        return {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}

    def rewind(self, epochs: int, mark: Mapping[str, Any] | None) -> str:
        """Drop the rows after `epochs`: a run resumed from there writes them again. Return a note where all are gone.

        Raises `RunError` where what the log held when the checkpoint was saved, its `mark`, was changed since.
        """
        if not self.metrics.exists():
            logged = mark["bytes"] if mark else epochs
            return f"{self.metrics} is gone: it goes on without the rows so far." if logged else ""
        if mark is None:  # a checkpoint from before there were marks
            kept = rows_until(self.metrics, epochs)
            write_text(self.metrics, "".join(json.dumps(row) + "\n" for row in kept))
            return ""
        text = self._log()[: mark["bytes"]]
        if hashlib.sha256(text).hexdigest() != mark["sha256"]:
            raise RunError(
                f"{self.metrics} was changed since the checkpoint beside it was saved.",
                hint="Put it back as it was, or delete it to go on without the rows so far.",
            )
        with whole_file(self.metrics) as file:
            file.write(text)
        return ""

    def _log(self) -> bytes:
        try:
            return read_bytes(self.metrics)
        except ValueError as error:
            raise RunError(f"{self.metrics} is damaged: {error}.", hint=HINT) from error


# What a run or fine-tuning writes before it has anything that would be a pity to lose.
ENVIRONMENT = "environment.json"  # is written first, so this tells a run of cass
BEGINNING = (
    ENVIRONMENT,
    "config.yaml",
    "splits.csv",
    "folds.csv",
    "subgroups.csv",
    "images.json",
    "manifest.json",
    "metrics.jsonl",
    "trackers.json",
    "targets.pt",
    ".lock",
    LATEST,
    INSTEAD,
)


def barely_begun(path: Path, *, ours: bool = False) -> bool:
    """Whether the folder of a run or fine-tuning holds nothing worth keeping: its process was stopped too early.

    One that is not known to be `ours`, of cass, has to say so itself; in a folder of others nothing is a draft but what
    only cass calls so. Raises `RunError` where the folder cannot be looked through.
    """
    if not path.is_dir():
        return False
    ours = ours or (path / ENVIRONMENT).is_file()
    found = False
    with telling(path, "Check the disk and the folder's permissions."):
        for folder, folders, names in os.walk(path, onerror=_raise):
            if ours:
                folders[:] = [name for name in folders if name != Run(path).tensorboard.name]
            for name in names:
                file = Path(folder, name)
                if not (is_draft(file) if ours else DRAFT.fullmatch(name)):
                    found = True
                    if name not in BEGINNING or not (file.is_file() or file.is_symlink()):
                        return False
                    if name == "metrics.jsonl" and file.is_file() and _has_rows(file):
                        return False
    return ours or not found


def _has_rows(log: Path) -> bool:
    """Whether a log holds more than a row, or is none of cass."""
    try:
        return read_bytes(log).count(b"\n") > 1
    except ValueError:
        return True


def _raise(error: OSError) -> None:
    raise error


def create_run(out: Path, name: str, *, overwrite: bool = False) -> Run:
    """Make the directory `out`/`name`, and leave it empty.

    Raises `RunError` if it exists with something worth keeping, unless `overwrite` is given: then the old run goes.
    """
    run = check_new(out, name, overwrite=overwrite)
    place = run.path.resolve()  # of a link what it leads to is replaced
    remove(place)
    with telling(run.path, "Choose another --runs."):
        place.mkdir(parents=True, exist_ok=True)
    return run


def check_new(out: Path, name: str, *, overwrite: bool = False) -> Run:
    """Return the run `out`/`name`; raise `RunError` where it can't be made, or not without `overwrite`."""
    plain = seen(name) and Path(name).name == name
    if not plain or name in ("", ".", "..") or name.lower() in (LATEST, INSTEAD, LOCKS):
        raise RunError(f"'{shown(name)}' cannot name a run.", hint="Use a plain name; --runs says in which folder.")
    run = Run(out / name)
    if (why := why_not_on_windows(name)) and not run.path.exists():
        what = f"'{shown(name)}' is a name {why}: Windows could not hold the run."
        raise RunError(what, hint="Use letters, digits, dots and hyphens.")
    check_no_loop(run.path)
    if run.path.exists() and not barely_begun(run.path):
        if not overwrite:
            raise RunError(
                f"{run.path} exists already.",
                hint="Choose another --name, continue it with --resume, or replace it with --overwrite.",
            )
        if not run.config.exists():
            raise RunError(f"{run.path} is no run of cass, so it is not overwritten.", hint="Choose another --name.")
    return run


def environment() -> dict[str, Any]:
    """Return what this run ran on: versions, machine, command."""
    import torch  # only now: names are looked up without

    return {
        "cass": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "gpu": _gpu(),
        "command": command(),
    }


def _gpu() -> str | None:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return torch.backends.mps.get_name() if torch.backends.mps.is_available() else None


def command() -> list[str]:
    """Return what this process was started as: `cass …`, the script that calls cass, or `python` for a notebook.

    Of absolute paths it holds the last names: config.yaml has them whole.
    """
    program, words = Path(sys.argv[0]), list(map(without_folders, sys.argv[1:]))
    if program.stem in ("cass", "__main__"):
        return ["cass", *words]
    return ["python"] if program.name in ("", "-c", "ipykernel_launcher.py") else ["python", program.name, *words]


def default_name(preset: str | None, data: Path | None, method: str) -> str:
    """Return a run name of data, method and time."""
    stem = preset or (data.stem if data and seen(data.stem) else "run")
    return f"{for_windows(stem)}-{method}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"


_SAVED = "saved"
OPEN = (("train.precision", "auto"), ("train.channels_last", "auto"))  # what a new run settles


def settings_over(path: Path, layers: list[Layer]) -> Resolved:
    """Return the settings saved at `path` with those of `layers` over them; saved ones keep their origin.

    `auto` asked for anew means what was settled when the run began, and a CSV of labels moves with its images.
    """
    saved = read_saved(path)
    asked = [Layer(layer.origin, {k: v for k, v in layer.values.items() if (k, v) not in OPEN}) for layer in layers]
    resolved = with_moved_labels(saved, resolve_over(saved, asked, origin=_SAVED))
    origins = {key: saved.origins[key] if origin == _SAVED else origin for key, origin in resolved.origins.items()}
    return Resolved(resolved.config, origins)


def with_moved_labels(saved: Resolved, resolved: Resolved) -> Resolved:
    """Look for the labels' CSV in the folder where the images are now, if it lay in the one where they were."""
    before, data = saved.config.data, resolved.config.data
    if data.labels is None or data.labels != before.labels or None in (data.path, before.path):
        return resolved
    assert data.path is not None and before.path is not None, "said above"
    if data.path == before.path or not data.labels.is_relative_to(before.path):
        return resolved
    moved = data.model_copy(update={"labels": data.path / data.labels.relative_to(before.path)})
    return Resolved(resolved.config.model_copy(update={"data": moved}), resolved.origins)
