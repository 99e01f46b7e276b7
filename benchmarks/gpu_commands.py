"""Whether the commands of cass answer on a GPU as on the CPU: on generated pictures, through the command line."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection
from contextlib import chdir, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from gpu_alike import CPU, relative, session_on, take_step, without_tf32
from gpu_record import Case, Difference, SkipError
from matplotlib.figure import Figure
from PIL import Image
from step import decode

from cass_cli.cli.app import run
from cass_cli.data.sources import load_samples

SIDE, EACH = 40, 16  # pixels of a picture, pictures of a class
SIZE = 64
RUN = "gpu"
CACHES = ("ram", "disk", "off", "device")
PROBABILITIES_MAY, MEASURES_MAY = 1e-2, 5e-3  # with TF32, where the commands set it


class Commands:
    """A folder of pictures, and the runs that are made from it in this process."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.folder, self.device = folder, device
        rng = np.random.default_rng(0)
        for label, name in enumerate(("dark", "light")):
            (folder / "pictures" / name).mkdir(parents=True)
            for index in range(EACH):
                pixels = (rng.integers(0, 128, (SIDE, SIDE, 3)) + 100 * label).astype(np.uint8)
                Image.fromarray(pixels).save(folder / "pictures" / name / f"{index:02d}.png")

    def cases(self) -> list[Case]:
        """Return the checks; the first one makes the run that the later ones look at."""
        looks = {
            "attention-maps": (["entropy", "centre", "distance"], ["--samples", "4"]),
            "feature-maps": (["intensity", "edges"], ["--samples", "4", "--layers", "3"]),
            "similarity": (["cka"], ["--samples", "8", "--batch-size", "4"]),
        }
        return [
            Case("device cache", 5, self.same_batches),
            Case("cass pretrain, finetune", 20, self.train),
            Case("cass predict", 5, self.same_predictions),
            Case("cass evaluate", 10, self.same_evaluation),
            *(Case(f"cass {name}", 10, partial(self.same_look, name, *how)) for name, how in looks.items()),
        ]

    def same_batches(self) -> dict[str, Any]:
        """Compare the batches of images held anywhere with those decoded in memory, and a step on them."""
        table = load_samples(self.folder / "pictures")
        stores = {mode: decode(table, 32, self.device, mode) for mode in CACHES}
        rows = torch.tensor([7, 3, 3, len(table) - 1, 0])
        expected = stores["ram"].batch(rows, CPU)
        differing = sum(not torch.equal(s.batch(rows, self.device).cpu(), expected) for s in stores.values())
        step, other = (take_step(session_on(self.device, store=stores[mode])) for mode in ("device", "ram"))
        far: dict[str, Difference] = {
            "caches with other images": (float(differing), 0.0),
            "loss": (relative([step.loss], [other.loss]), 1e-5),
        }
        if self.device.type == "cuda":
            far["images not on the device"] = (float(stores["device"].where != "device"), 0.0)
        return {"differences": far, "held": {mode: s.where for mode, s in stores.items()}}

    def train(self) -> dict[str, Any]:
        """Pretrain and fine-tune on the device; what they leave behind must be whole."""
        arms = ["--cnn", "test_resnet", "--vit", "test_vit", "--init", "random", "--set", "arms.outputs=16"]
        size = ["--image-size", str(SIZE), "--epochs", "2", "--batch-size", "8"]
        self._cass("pretrain", "--data", "pictures", *arms, *size, "--compile", "off", *self._on(self.device))
        trained = ["--recipe", "paper", "--no-guard", "--epochs", "2"]
        self._cass("finetune", "--label-fraction", "1", *trained, *self._on(self.device))
        made = self.folder / "runs" / RUN
        missing = [name for name in ("cnn", "vit") if not (made / "arms" / f"{name}.safetensors").is_file()]
        return {"differences": {"arms that were not exported": (float(len(missing)), 0.0)}}

    def same_predictions(self) -> dict[str, Any]:
        """Compare the probabilities of `cass predict`."""
        self._needs_run()
        files = []
        for place in (self.device, CPU):
            files.append(self.folder / f"predictions-{len(files)}.csv")
            self._cass("predict", "pictures", "--out", str(files[-1]), *self._on(place))
        classes = ["p:dark", "p:light"]
        return {"differences": {"probabilities": (numbers_apart(*files, columns=classes), PROBABILITIES_MAY)}}

    def same_evaluation(self) -> dict[str, Any]:
        """Compare the probabilities that `cass evaluate` writes for the test split."""
        self._needs_run()
        trial = self.folder / "runs" / RUN / "finetune" / "pretrained-paper" / "1" / "seed0"
        written, files = trial / "predictions-test.csv", []
        for place in (self.device, CPU):
            self._cass("evaluate", "--resamples", "10", *self._on(place))
            files.append(written.replace(self.folder / f"evaluation-{len(files)}.csv"))
        columns = [f"{who}:{label}" for who in ("cnn", "vit", "mean") for label in ("dark", "light")]
        return {"differences": {"probabilities": (numbers_apart(*files, columns=columns), PROBABILITIES_MAY)}}

    def same_look(self, command: str, columns: list[str], options: list[str]) -> dict[str, Any]:
        """Compare the numbers that a command which looks into the arms writes of each image or layer."""
        self._needs_run()
        files = []
        for place in (self.device, CPU):
            folder = self.folder / f"{command}-{len(files)}"
            with without_tf32(self.device):
                self._cass(command, *options, "--out", str(folder), "--device", str(place))
            files.append(folder / f"{command}.csv")
        return {"differences": {"numbers": (numbers_apart(*files, columns=columns), MEASURES_MAY)}}

    def _on(self, device: torch.device) -> list[str]:
        return ["--device", str(device), "--precision", "fp32"]

    def _needs_run(self) -> None:
        if not (self.folder / "runs" / RUN / "finetune").is_dir():
            raise SkipError("needs the run of 'cass pretrain, finetune'")

    def _cass(self, command: str, *arguments: str) -> None:
        """Run a command silently, its figures not saved: they take the most time, and no GPU draws them.

        Raises what the command raises, and RuntimeError with its last words where it ends otherwise.
        """
        named = ["--name" if command == "pretrain" else "--run", RUN]
        said = io.StringIO()
        unsaved = patch.object(Figure, "savefig", lambda *_arguments, **_keywords: None)
        with chdir(self.folder), redirect_stdout(said), redirect_stderr(said), unsaved:
            code = run([command, *arguments, *named, "--debug"])
        if code:
            raise RuntimeError(f"cass {command} ended with {code}: {said.getvalue().strip()[-200:]}")


def numbers_apart(one: Path, other: Path, *, columns: Collection[str]) -> float:
    """Return the largest difference between numbers of two CSV files of the same rows.

    NaN where only one has a number, where one isn't finite, and where there is nothing to compare.
    """
    with one.open(encoding="utf-8", newline="") as mine, other.open(encoding="utf-8", newline="") as theirs:
        rows = list(zip(csv.DictReader(mine), csv.DictReader(theirs), strict=True))
    cells = [(here[column], there[column]) for here, there in rows for column in columns]
    apart = [abs(float(here or "nan") - float(there or "nan")) for here, there in cells if here or there]
    return float(np.max(apart)) if apart else math.nan
