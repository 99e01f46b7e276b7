"""`cass ensemble`, `cass evaluate` and `cass predict` as functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cass_cli.api.load import AnyPath, AnyRun, found
from cass_cli.api.views import EvaluationView, FinetuningView, evaluation_view, finetuning_view
from cass_cli.config.flags import check_external
from cass_cli.config.load import flag_layer
from cass_cli.data.splits import check_split
from cass_cli.engine.finetuning.corrupted import corruptions_asked
from cass_cli.engine.finetuning.ensemble import ensemble_job, members_of
from cass_cli.engine.finetuning.evaluate import evaluate as score
from cass_cli.engine.finetuning.external import evaluate_external, external_data
from cass_cli.engine.finetuning.external import external_name as named
from cass_cli.engine.finetuning.people import people_asked
from cass_cli.engine.finetuning.predict import UNLABELLED, Pixels, check_pixels, predict_job
from cass_cli.errors import DataError
from cass_cli.reports.evaluation import write_evaluation
from cass_cli.reports.predictions import (
    begin_tally,
    patient_columns,
    patient_rows,
    prediction_columns,
    prediction_values,
)
from cass_cli.reports.progress import counting, stages
from cass_cli.reports.robustness_in_words import forecast_in_words
from cass_cli.runs.directory import settings_over
from cass_cli.runs.trials import Variant
from cass_cli.scores.bootstrap import RESAMPLES
from cass_cli.scores.calibration import ENSEMBLE
from cass_cli.scores.goals import read_asked


def ensemble(
    members: Sequence[str] = (),
    run: AnyRun | None = None,
    *,
    variant: str = ENSEMBLE,
    label_fraction: float | None = None,
    across_seeds: bool = False,
    overwrite: bool = False,
    data: AnyPath | None = None,
    device: str | None = None,
    precision: str | None = None,
    runs: AnyPath = "runs",
    progress: bool = False,
) -> FinetuningView:
    """Average fine-tunings of a run, weighed by validation images, into one that is used like them: `cass ensemble`.

    `members` are their names, as in "imagenet-probe"; without any, all that the run has. Trials of the same label
    fraction and seed are averaged or, `across_seeds`, all seeds of a fraction. The average is called `variant`.

    Raises `cass_cli.errors.RunError` where there are no two trials to average, or they see images otherwise.

    >>> tuned = finetune("tour", variant="twice", seeds=2)
    >>> averaged = ensemble(["twice"], "tour", across_seeds=True)
    >>> sorted(averaged.trials[0].members)
    ['twice-seed0', 'twice-seed1']
    """
    of = found(run, runs).run
    layer = flag_layer({"data.path": data, "train.device": device, "train.precision": precision})
    with stages() if progress else nullcontext() as told:
        result = ensemble_job(
            of,
            members_of(of, list(members)),
            variant,
            fraction=label_fraction,
            across_seeds=across_seeds,
            layer=layer,
            overwrite=overwrite,
            on_progress=told or (lambda _what, _done, _total: None),
        )
    return finetuning_view(Variant(of, variant), result.trials)


def evaluate(
    run: AnyRun | None = None,
    *,
    variant: str | None = None,
    label_fraction: float | None = None,
    seed: int | None = None,
    split: str = "test",
    external: AnyPath | None = None,
    external_name: str | None = None,
    map_class: Mapping[str, str] | None = None,
    allow_overlap: bool = False,
    labels: AnyPath | None = None,
    settings: Mapping[str, Any] | None = None,
    operating_point: Sequence[str] = (),
    positive: str | None = None,
    prevalence: float | Mapping[str, float] | None = None,
    patient_rule: str | None = None,
    subgroup: Sequence[str] = (),
    metadata: AnyPath | None = None,
    corruptions: bool = False,
    corruption_images: int | Literal["all"] | None = None,
    resamples: int = RESAMPLES,
    data: AnyPath | None = None,
    device: str | None = None,
    precision: str | None = None,
    runs: AnyPath = "runs",
    write: bool = True,
    progress: bool = False,
) -> EvaluationView:
    """Score a fine-tuning on a split, with 95 % bootstrap intervals, as `cass evaluate` does.

    `run` is what `finetune` returned, or a run, a name or a path; of its trials the one with the largest label
    fraction and, of that, the lowest seed is taken, unless said. Intervals are over images, or over patients where the
    data name them; `resamples=0` leaves them out. `data` is where the images are now. Scores (JSON), predictions and
    curves (CSV) and figures are left in the trial for `cass report`, unless `write=False`.

    With `external`, a folder or CSV of another site's labelled images, these are scored in place of the split's, and
    `external` of what is returned says how far each metric falls from the test images at home. `map_class` says which
    of their classes is which of ours where the names differ; `labels` names their CSV, and `settings` holds what else
    `--set` takes of how they are read, as in {"data.group_column": "patient"}. Images that the arms have seen are
    refused unless `allow_overlap`.

    Each `operating_point`, as in "sensitivity=0.95", "specificity=0.9" or "youden", sets thresholds on validation
    images at which sensitivity, specificity, PPV, NPV and likelihood ratios are told; `prevalence`, a share or one for
    each class by name, gives PPV and NPV where so many patients have it. `positive` is the class that these,
    calibration and decision curves are of: by default the second of two, each of more.

    `patient_rule` ("mean", "max" or "noisy-or") scores patients, too: one answer for all images of each. `subgroup`
    names columns whose groups are scored one by one, as the data keep them or as the table `metadata` has them, a row
    an image or a patient.

    `corruptions` scores noisy, blurred, brighter, flatter, JPEG and more colourful images too, at five strengths each:
    at most `corruption_images` of them (by default 500), or "all".

    Raises `cass_cli.errors.RunError` where there is no such trial, `DataError` where no image of the split is labelled,
    `ConfigError` where a class or an operating point is none.

    >>> found = evaluate("tour", resamples=100)
    >>> list(found.scores)
    ['candidate', 'metric', 'value', 'low', 'high']
    >>> found.probabilities[found.recommended].shape, found.labels.shape
    ((120, 4), (120,))
    >>> list(found.predictions)[:4]
    ['image', 'split', 'label', 'chosen']
    >>> at = evaluate("tour", operating_point=["sensitivity=0.9"], positive="melanoma", resamples=100).operating_points
    >>> list(at)
    ['candidate', 'goal', 'class', 'threshold', 'prevalence', 'measure', 'value', 'low', 'high']
    """
    check_split(split)
    reading = {**(settings or {}), "data.labels": labels}
    about = {"external_name": external_name, "map_class": map_class, "allow_overlap": allow_overlap or None}
    check_external(external is not None, split, reading | about)
    shares = prevalence.items() if isinstance(prevalence, Mapping) else [("", prevalence)]
    asked = read_asked(operating_point, positive, [f"{c}={share}" for c, share in shares if share is not None])
    trial = found(run, runs).trial(variant, fraction=label_fraction, seed=seed)
    layer = flag_layer({"data.path": data, "train.device": device, "train.precision": precision})
    people = people_asked(patient_rule, subgroup, None if metadata is None else Path(metadata))
    worse = corruptions_asked(corruptions, corruption_images)
    own = settings_over(trial.variant.config, [layer])
    with stages() if progress else nullcontext() as told:
        say = (lambda forecast: told.say(forecast_in_words(forecast))) if told else None
        if external is None:
            evaluation = score(
                own,
                trial,
                split=split,
                resamples=resamples,
                asked=asked,
                people=people,
                corruptions=worse,
                on_progress=told,
                on_forecast=say,
            )
        else:
            evaluation = evaluate_external(
                own,
                trial,
                external_data(own.config.data, flag_layer({**reading, "data.path": Path(external)})),
                name=named(Path(external), external_name),
                class_pairs=map_class or {},
                allow_overlap=allow_overlap,
                resamples=resamples,
                asked=asked,
                people=people,
                corruptions=worse,
                on_progress=told,
                on_forecast=say,
            )
    if write:
        with counting("Writing") if progress else nullcontext() as wrote:
            write_evaluation(evaluation, on_progress=wrote)
    return evaluation_view(evaluation)


def predict(
    run: AnyRun | None,
    images: AnyPath | NDArray[np.uint8] | Sequence[Any],
    *,
    variant: str | None = None,
    label_fraction: float | None = None,
    seed: int | None = None,
    answer_by: str | None = None,
    groups: AnyPath | Sequence[str] | None = None,
    group_column: str | None = None,
    patient_rule: str | None = None,
    image_column: str | None = None,
    missing: str | None = None,
    allow_outside: bool = False,
    max_pixels: int | None = None,
    max_file_mb: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    workers: int = 0,
    runs: AnyPath = "runs",
    progress: bool = False,
) -> pd.DataFrame:
    """Classify images with a fine-tuned run, and return a row an image, as `cass predict` writes it.

    `run` is taken as `evaluate` takes it; None is the latest. `images` is a file, a folder, a CSV that names images, an
    .npz archive, or a list of such; or an array uint8 [N, H, W, 3]; or a list of arrays uint8 [H, W, 3] or grey [H, W],
    of any sizes, or of PIL images in modes RGB and L. All are brought to the arms' size as files are.

    Columns: image (its path, or its number from 0), status ("ok", or why it could not be read: then the others are
    missing), chosen (a class, or classes joined by ";"), confidence (0 … 1), low_confidence, arms_agree, `p:CLASS`
    each, calibrated, and what each arm chose. `answer_by` names who answers: cnn, vit, mean, joint or ensemble; by
    default whichever validation recommends.

    With `groups`, a CSV that names each image's patient (in `group_column`) or a list of patients, one an image, there
    is a row a patient instead: patient, images (that could be read), chosen, confidence, and `p:CLASS` each, by
    `patient_rule`: mean (the default), max or noisy-or. An image of which no patient is known is one of its own.

    Raises `cass_cli.errors.DataError` where no image can be read, `RunError` where there is no such trial.

    >>> answers = predict("tour", np.zeros((2, 50, 60, 3), np.uint8))
    >>> answers[["image", "status"]].values.tolist()
    [['0', 'ok'], ['1', 'ok']]
    >>> round(float(answers.filter(like="p:").sum(axis=1).min()), 6)
    1.0
    """
    trial = found(run, runs).trial(variant, fraction=label_fraction, seed=seed)
    flags = {
        "train.device": device,
        "train.precision": precision,
        "data.missing": missing,
        "data.max_pixels": max_pixels,
        "data.max_file_mb": max_file_mb,
    }
    job = predict_job(
        trial,
        _given(images),
        settings_over(trial.variant.config, [flag_layer(flags)]),
        columns=replace(UNLABELLED, image=image_column),
        allow_outside=allow_outside,
        answer_by=answer_by,
        groups=Path(groups) if isinstance(groups, str | PathLike) else groups,
        group_column=group_column,
        patient_rule=patient_rule,
        workers=workers,
    )
    tally, rows, columns = begin_tally(job), list[list[object]](), prediction_columns(job.arms)
    with counting("Predicting") if progress else nullcontext(lambda _done, _total: None) as counted:
        for done, answer in enumerate(job.answers, start=1):
            counted(done, job.images)
            tally.count(answer)
            values = prediction_values(answer)
            rows.append([answer.image, answer.status, *values, *[None] * (len(columns) - 2 - len(values))])
    tally.check_answered(hint="Check what `images` names.")
    if tally.pool and job.patients:
        return pd.DataFrame(patient_rows(tally.pool, job.patients), columns=patient_columns(job.patients))
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype({name: "boolean" for name in ("low_confidence", "arms_agree") if name in frame})


def _given(images: AnyPath | NDArray[np.uint8] | Sequence[Any]) -> list[Path] | Pixels:
    """Return paths, or pixels in memory; raise `DataError` for what is neither."""
    if isinstance(images, str | PathLike):
        return [Path(images)]
    if isinstance(images, np.ndarray) and images.ndim != 4:
        raise DataError(
            f"The array is {list(images.shape)}, not [N, H, W, 3].",
            hint="Put images of several sizes, grey ones, or a single one into a list.",
        )
    several = list(images)
    if several and all(isinstance(image, str | PathLike) for image in several):
        return [Path(image) for image in several]
    return check_pixels([np.asarray(image) for image in several])
