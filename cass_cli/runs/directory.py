"""A run on disk: what was asked, what happened, and what came out (see the README for the layout)."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cass_cli import __version__
from cass_cli.config.load import Layer, Resolved, read_saved
from cass_cli.config.recipes import resolve_over
from cass_cli.errors import DataError, RunError
from cass_cli.lock import locked
from cass_cli.runs.latest import INSTEAD, LATEST

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
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoints" / "last" / "state.pt"

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
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of metrics.jsonl, leaving out a last line cut short by a crash."""
        if not self.metrics.exists():
            return []
        rows = []
        for line in self.metrics.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return rows

    def rewind(self, epochs: int) -> None:
        """Drop the rows after `epochs`: a run resumed from there writes them again."""
        kept = [row for row in self.rows() if row["epoch"] <= epochs]
        write_text(self.metrics, "".join(json.dumps(row) + "\n" for row in kept))


def create_run(out: Path, name: str, *, overwrite: bool = False) -> Run:
    """Make the directory `out`/`name`, and leave it empty.

    Raises `RunError` if it exists, unless `overwrite` is given: then the old run is removed first.
    """
    run = check_new(out, name, overwrite=overwrite)
    if run.config.exists():
        shutil.rmtree(run.path)
    try:
        run.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"Cannot make {run.path}: {error.strerror}.", hint="Choose another --runs.") from error
    return run


def check_new(out: Path, name: str, *, overwrite: bool = False) -> Run:
    """Return the run `out`/`name`; raise `RunError` where it can't be made, or not without `overwrite`."""
    if name in ("", ".", "..") or Path(name).name != name or name.lower() in (LATEST, INSTEAD):
        raise RunError(f"'{name}' cannot name a run.", hint="Use a plain name; --runs says in which folder.")
    run = Run(out / name)
    if run.path.exists() and (not run.path.is_dir() or any(run.path.iterdir())):
        if not overwrite:
            raise RunError(
                f"{run.path} exists already.",
                hint="Choose another --name, continue it with --resume, or replace it with --overwrite.",
            )
        if not run.config.exists():
            raise RunError(f"{run.path} is no run of cass, so it is not overwritten.", hint="Choose another --name.")
    return run


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` so that a crash leaves the old file or the new one."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, default=str) + "\n")


def environment() -> dict[str, Any]:
    """Return what this run ran on: versions, machine, command."""
    import torch  # only now: names are looked up without

    return {
        "cass": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "command": ["cass", *sys.argv[1:]],
    }


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Keep a second process from working on the run or fine-tuning at `path` while this one does.

    Where nothing comes of it (a file system without locks, a full disk), no empty folder stays.
    """
    lock = path / ".lock"
    with ExitStack() as stack:
        stack.callback(_remove_empty, path)
        try:
            alone = stack.enter_context(locked(lock, wait=False))
        except DataError:
            lock.unlink(missing_ok=True)
            raise
        if not alone:
            raise RunError(f"{path} is being written by another process.", hint="Wait for it, or stop it first.")
        stack.callback(lock.unlink, missing_ok=True)
        yield


def _remove_empty(path: Path) -> None:
    with suppress(OSError):  # of a folder that is not empty
        path.rmdir()


def default_name(preset: str | None, data: Path | None, method: str) -> str:
    """Return a run name of data, method and time."""
    stem = preset or (data.stem if data else "run")
    return f"{stem}-{method}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"


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
