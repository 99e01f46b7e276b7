"""Answers for any number of images, in constant memory: a batch is decoded, answered and forgotten.

Shapes: B images of a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cass_cli.config.load import Resolved
from cass_cli.data.dataset import frame_rules, pixel_rules
from cass_cli.data.decode.facts import USUAL, PixelRules
from cass_cli.data.decode.image import squared_pixels
from cass_cli.data.frames import FIRST, FrameRules, ending_of, file_of, with_frames
from cass_cli.data.layouts.columns import Columns
from cass_cli.data.layouts.scan import scan_folder
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.sources import load_samples
from cass_cli.data.store.decoding import BadImage, DecodeJob, Planes, usable_cores
from cass_cli.data.views.spec import ImageSpec
from cass_cli.engine.compute import Compute, choose_compute
from cass_cli.engine.fastest import unless_measured_elsewhere
from cass_cli.engine.finetuning.evaluate import decisions
from cass_cli.engine.finetuning.people import check_rule
from cass_cli.engine.finetuning.predict_patients import Patients, find_patients
from cass_cli.engine.finetuning.tuned_arms import TunedArms, load_tuned
from cass_cli.engine.inference import BATCH, batch_logits
from cass_cli.errors import ConfigError, DataError, did_you_mean
from cass_cli.runs.trials import Trial
from cass_cli.scores.judgement import probabilities_of
from cass_cli.scores.patients import RULES
from cass_cli.scores.values import Floats, confidence

UNLABELLED = Columns(label="none", group="none", split="none")


@dataclass(frozen=True)
class Source:
    """Images of one argument of the command, and what each is called in the answer."""

    table: SampleTable
    shown: Sequence[str]

    def __len__(self) -> int:
        return len(self.table)

    def planes(self, spec: ImageSpec, *, workers: int) -> Iterator[tuple[int, Planes | BadImage]]:
        """Yield (row, image) in order, each as networks with this `spec` take it."""
        job = DecodeJob(self.table, spec.size, spec.fit, workers, lambda _done, _total: None)
        return job.results(range(len(self.table)))


@dataclass(frozen=True)
class Pixels:
    """Images that are in memory: uint8 [H, W, 3] or grey [H, W] each, of any size."""

    arrays: Sequence[NDArray[np.uint8]]

    @property
    def shown(self) -> Sequence[str]:
        """Return what they are called in the answer: their numbers, from 0."""
        return [str(row) for row in range(len(self.arrays))]

    def __len__(self) -> int:
        return len(self.arrays)

    def planes(self, spec: ImageSpec, **_how: int) -> Iterator[tuple[int, Planes | BadImage]]:
        """Yield what `Source.planes` yields for files that hold these pixels."""
        for row, pixels in enumerate(self.arrays):
            rgb = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
            square = squared_pixels(np.ascontiguousarray(rgb), spec.size, spec.fit)
            yield row, Planes(np.ascontiguousarray(square.transpose(2, 0, 1)), several_pages=False)


def check_pixels(arrays: Sequence[NDArray[Any]]) -> Pixels:
    """Return images in memory as what can be answered; raise `DataError` for arrays of another kind."""
    for row, pixels in enumerate(arrays):
        if pixels.dtype != np.uint8 or pixels.shape[2:] not in ((), (3,)) or pixels.ndim < 2 or not pixels.size:
            raise DataError(
                f"Image {row} is {pixels.dtype} {list(pixels.shape)}, not uint8 [H, W, 3] or [H, W].",
                hint="Scale deeper pixels to 0 … 255, or name their files, which cass scales by itself.",
            )
    if not arrays:
        raise DataError("There is no image.")
    return Pixels(arrays)


@dataclass(frozen=True)
class Prediction:
    """The answer for one image; without probabilities where the file could not be read."""

    image: str
    status: str  # "ok", or why there is no answer
    chosen: str = ""  # a class, or classes joined by ";"
    confidence: float = float("nan")
    flagged: bool = False  # too unsure, by the rule that validation set
    agree: bool | None = None  # whether all arms choose alike; None for a single arm
    probabilities: Floats | None = None  # [C], of the candidate that answers
    by_arm: tuple[str, ...] = ()  # what each arm chooses
    patient: str = ""  # whose image it is; "": nobody asked, or nobody knows


def find_sources(
    paths: Sequence[Path],
    *,
    columns: Columns = UNLABELLED,
    allow_outside: bool = False,
    skip_missing: bool = False,
    frames: FrameRules = FIRST,
    rules: PixelRules = USUAL,
) -> list[Source]:
    """Return the images that files, folders, CSVs and .npz archives name; a file that is no image is reported later.

    With `skip_missing`, rows of a CSV without a file are passed over. `frames`: see `with_frames`.

    Raises `DataError` for a path that does not exist and a folder without images.
    """
    sources, files = [], []
    for path in paths:
        if not path.exists():
            raise DataError(f"There is no image, folder or CSV at {path}.", hint="Check the path.")
        if path.is_dir():
            scan = scan_folder(path, allow_outside=allow_outside)
            table = with_frames(SampleTable(root=scan.root, names=scan.images, rules=rules), frames)
        elif path.suffix.lower() in (".csv", ".npz"):
            table = load_samples(
                path,
                columns=columns,
                allow_outside=allow_outside,
                skip_missing=skip_missing,
                frames=frames,
                rules=rules,
            )
        else:
            files.append(path)
            continue
        folder = path.parent if path.suffix.lower() == ".csv" else path
        sources.append(Source(table, [str(folder / name) for name in table.names]))
    if files:
        absolute = [path.absolute() for path in files]
        root = Path(absolute[0].anchor)
        names = tuple(path.relative_to(root).as_posix() for path in absolute)
        given = dict(zip(names, map(str, files), strict=True))
        table = with_frames(SampleTable(root=root, names=names, rules=rules), frames)
        sources.append(Source(table, [given[file_of(name)] + ending_of(name) for name in table.names]))
    return sources


def choose_candidate(arms: TunedArms, asked: str | None) -> str:
    """Return the candidate that answers: the one asked for, else the one that validation recommended."""
    known = arms.candidates
    if asked is None:
        return arms.summary.judgement.pick
    if asked not in known:
        raise ConfigError(f"This fine-tuning has no '{asked}'.{did_you_mean(asked, known)}", hint=", ".join(known))
    return asked


@dataclass(frozen=True)
class Predicting:
    """Who answers, and the answers as they come."""

    arms: TunedArms
    candidate: str
    images: int
    answers: Iterator[Prediction]
    patients: Patients | None = None


def predict_job(
    trial: Trial,
    images: Sequence[Path] | Pixels,
    resolved: Resolved,
    *,
    columns: Columns = UNLABELLED,
    allow_outside: bool = False,
    answer_by: str | None = None,
    groups: Path | Sequence[str] | None = None,
    group_column: str | None = None,
    patient_rule: str | None = None,
    workers: int = 0,
) -> Predicting:
    """Let the arms of a finished trial answer for all images that are given or that paths name.

    They are read and computed as the settings say. `groups` says whose images these are: a table, or a name an image.

    Raises what `find_sources`, `load_tuned`, `choose_candidate` and `find_patients` do, before the first answer.
    """
    if groups is None and (patient_rule or group_column):
        option = "--patient-rule" if patient_rule else "--group-column"
        raise ConfigError(f"{option} is about patients, and nothing says whose the images are.", hint="Add --groups.")
    check_rule(rule := patient_rule or RULES[0])
    data, compute = resolved.config.data, choose_compute(unless_measured_elsewhere(resolved).config.train)
    sources: Sequence[Source | Pixels] = (
        [images]
        if isinstance(images, Pixels)
        else find_sources(
            images,
            columns=columns,
            allow_outside=allow_outside,
            skip_missing=data.missing == "skip",
            frames=frame_rules(data),
            rules=pixel_rules(data),
        )
    )
    arms = load_tuned(trial, compute)
    candidate = choose_candidate(arms, answer_by)
    answers = predict(arms, sources, candidate=candidate, compute=compute, workers=workers)
    patients = None
    if groups is not None:
        named = [name for source in sources for name in source.shown]
        patients = find_patients(trial, candidate, named, groups, group_column, rule)
        answers = (replace(answer, patient=of) for answer, of in zip(answers, patients.of_images, strict=True))
    return Predicting(arms, candidate, sum(map(len, sources)), answers, patients)


def predict(
    arms: TunedArms,
    sources: Sequence[Source | Pixels],
    *,
    candidate: str,
    compute: Compute,
    workers: int = 0,
) -> Iterator[Prediction]:
    """Yield an answer for each image, in the order given. What cannot be read gets a status instead."""
    for source in sources:
        waiting: list[tuple[int, Planes | BadImage]] = []
        for result in source.planes(arms.spec, workers=workers or usable_cores()):
            waiting.append(result)
            if len(waiting) == BATCH:
                yield from _answer(arms, source, waiting, candidate=candidate, compute=compute)
                waiting = []
        yield from _answer(arms, source, waiting, candidate=candidate, compute=compute)


def _answer(
    arms: TunedArms,
    source: Source | Pixels,
    results: Sequence[tuple[int, Planes | BadImage]],
    *,
    candidate: str,
    compute: Compute,
) -> Iterator[Prediction]:
    good = [(row, planes) for row, planes in results if isinstance(planes, Planes)]
    answers = {}
    if good:
        pixels = torch.from_numpy(np.stack([planes.pixels for _, planes in good])).to(compute.device)
        logits = batch_logits(arms.readers, pixels, spec=arms.spec, compute=compute, heads=arms.heads)
        numbers = {name: given.cpu().double().numpy() for name, given in logits.items()}  # device sync
        answers = dict(zip([row for row, _ in good], _decide(arms, numbers, candidate), strict=True))
    for row, result in results:
        if isinstance(result, BadImage):
            yield Prediction(source.shown[row], f"unreadable: {result.reason}")
        else:
            chosen, sure, probabilities, by_arm = answers[row]
            yield Prediction(
                image=source.shown[row],
                status="ok",
                chosen=chosen,
                confidence=sure,
                flagged=sure < arms.summary.judgement.flag_below,
                agree=len(set(by_arm)) == 1 if len(by_arm) > 1 else None,
                probabilities=probabilities,
                by_arm=by_arm,
            )


def _decide(
    arms: TunedArms, logits: dict[str, Floats], candidate: str
) -> list[tuple[str, float, Floats, tuple[str, ...]]]:
    """Return choice, confidence, probabilities and the arms' choices of each image from outputs [B, C] by arm."""
    judgement, classes, multilabel = arms.summary.judgement, arms.summary.classes, arms.summary.multilabel
    candidates = probabilities_of(logits, judgement.temperatures, judgement.weights, multilabel=multilabel)
    choices = {name: decisions(given, judgement.threshold(name), classes) for name, given in candidates.items()}
    sure = confidence(candidates[candidate], multilabel=multilabel)
    by_arm = zip(*(choices[name] for name in arms.networks), strict=True)
    return [
        (chosen, float(s), row, tuple(arm_choices))
        for chosen, s, row, arm_choices in zip(choices[candidate], sure, candidates[candidate], by_arm, strict=True)
    ]
