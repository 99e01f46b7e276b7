"""`cass embed`: what arms know of each image, as numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cass_cli import __version__
from cass_cli.config.load import Resolved
from cass_cli.config.schema import Data
from cass_cli.data.dataset import Dataset, find_dataset, samples_of
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.store.decoding import BadImage
from cass_cli.data.views.spec import ImageSpec
from cass_cli.engine.compute import choose_compute
from cass_cli.engine.embedding.features import Features, layers_of, read_arms
from cass_cli.engine.embedding.request import Asked, check_asked
from cass_cli.engine.fastest import unless_measured_elsewhere
from cass_cli.engine.features import Reading
from cass_cli.engine.looking.shown import Shown, arms_of_run
from cass_cli.errors import DataError, RunError, did_you_mean
from cass_cli.models.weights import sha256_of
from cass_cli.runs.directory import Run
from cass_cli.runs.manifest import check_files
from cass_cli.runs.trials import Trial
from cass_cli.words import count, shown, shown_list


@dataclass(frozen=True)
class Embedded:
    """The features of n images, what is known of these, and where the numbers come from."""

    table: SampleTable  # of the images that could be read
    splits: tuple[str, ...]  # of each; "" where there is none
    features: Mapping[str, Features]  # by arm
    bad: tuple[BadImage, ...]  # that could not be read
    about: Mapping[str, Any]  # plain JSON values
    notes: tuple[str, ...]
    seconds: float  # that decoding and reading took

    @property
    def run(self) -> str:
        name: str = self.about["run"]
        return name


def find_images(of: Run | Trial, resolved: Resolved, there: Data | None) -> Dataset:
    """Return the images of the run with their splits, or those that `there` names with what splits they come with."""
    if there is None:
        run, config = of.variant.run if isinstance(of, Trial) else of, resolved.config
        return find_dataset(config.data, seed=config.train.seed, saved_splits=run.splits)
    assert there.path is not None, "the command line names it"
    if not there.path.exists():
        raise DataError(f"There are no images at {shown(str(there.path))}.", hint="Check the path.")
    table = samples_of(there)
    return Dataset(table, table.splits or ("",) * len(table), table.notes)


def embed(
    of: Run | Trial,
    resolved: Resolved,
    dataset: Dataset,
    asked: Asked,
    *,
    workers: int = 0,
    on_progress: Callable[[int, int], None],
) -> Embedded:
    """Read the images of `dataset` through the arms of a run or of a trial.

    Raises `RunError` where there are no such arms, `ConfigError` where they have not the layers asked for, `DataError`
    where no image can be read.
    """
    check_asked(asked)
    run, files = (of.variant.run, of.files) if isinstance(of, Trial) else (of, of)
    for folder in [run.path, *([of.variant.path] if isinstance(of, Trial) else [])]:
        check_files(folder)
    arms = _arms(files, asked)
    config = unless_measured_elsewhere(resolved).config
    layers = {name: layers_of(name, arm.network, asked, config.finetune.layers) for name, arm in arms.items()}
    mirrored = config.finetune.mirrored if asked.mirrored is None else asked.mirrored
    spec, compute = _spec(files, arms), choose_compute(config.train)
    began = time.monotonic()
    networks = {name: arm.network for name, arm in arms.items()}
    read = read_arms(
        networks,
        dataset.table,
        layers,
        Reading(spec, max(map(max, layers.values())), mirrored),
        compute,
        workers=workers,
        on_progress=on_progress,
    )
    if not len(read.rows):
        first = read.bad[0] if read.bad else None
        why = f" {shown(first.name)}: {first.reason}." if first else ""
        raise DataError(f"None of the images in {shown(str(dataset.table.root))} can be read.{why}")
    about = {
        "made_by": f"cass {__version__}",
        "run": _place(run, files),
        "arms": {name: _about(arm, files, asked, read.arms[name]) for name, arm in arms.items()},
        "size": spec.size,
        "fit": spec.fit,
        "mean": list(spec.mean),
        "std": list(spec.std),
        "mirrored": mirrored,
        "precision": compute.precision,
        "device": compute.device.type,
        "images": len(read.rows),
        "unreadable": len(read.bad),
        "groups_by": dataset.table.groups_by,
    }
    return Embedded(
        table=dataset.table.select(read.rows),
        splits=tuple(np.array(dataset.splits, dtype=object)[read.rows]),
        features=read.arms,
        bad=read.bad,
        about=about,
        notes=(*dataset.warnings, *_told(read.bad)),
        seconds=time.monotonic() - began,
    )


def _arms(files: Run, asked: Asked) -> dict[str, Shown]:
    found = {str(name): arm for name, arm in arms_of_run(files, averaged=asked.averaged).items()}
    if asked.arm in (None, "both"):
        return found
    if asked.arm not in found:
        raise RunError(
            f"{files.path} has no arm '{asked.arm}'.{did_you_mean(asked.arm, list(found))}",
            hint=f"Arms: {', '.join(found)}.",
        )
    return {asked.arm: found[asked.arm]}


def _spec(files: Run, arms: Mapping[str, Shown]) -> ImageSpec:
    """Return how the arms take images; raise `RunError` where that is not alike."""
    first, *others = [arm.spec for arm in arms.values()]
    if any(other != first for other in others):
        raise RunError(f"The arms of {files.path} take images of different kinds.", hint="Name one with --arm.")
    return first


def _place(run: Run, files: Run) -> str:
    """Return the name of a run, with what is named of it behind: no folder of the machine."""
    return "/".join([run.path.resolve().name, *files.path.resolve().relative_to(run.path.resolve()).parts])


def _about(arm: Shown, files: Run, asked: Asked, of: Features) -> dict[str, Any]:
    file = files.arm(arm.arm, averaged=asked.averaged)
    return {
        "model": arm.model,
        "weights": arm.label,
        "sha256": sha256_of(file),
        "layers": list(of.layers),
        "widths": list(of.widths),
    }


def _told(bad: tuple[BadImage, ...]) -> list[str]:
    if not bad:
        return []
    which = shown_list([f"{image.name} ({image.reason})" for image in bad], 3)
    return [f"{count(len(bad), 'image')} cannot be read and are left out: {which}."]
