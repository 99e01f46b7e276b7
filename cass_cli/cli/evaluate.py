"""`cass evaluate`: what a fine-tuning is worth, with intervals."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import (
    ALLOW_OUTSIDE,
    BAD_IMAGES,
    CACHE,
    CHANNELS,
    CLASS_LEVEL,
    DEVICE,
    FRACTION,
    FRAMES,
    GROUP_COLUMN,
    GROUP_PATTERN,
    IMAGE_COLUMN,
    JSON,
    LABEL_COLUMN,
    LABEL_SEPARATOR,
    LABELS,
    LAYOUT,
    MAX_FILE_MB,
    MAX_PIXELS,
    MISSING,
    MOVED,
    OUTPUT,
    PATIENT_RULE,
    PRECISION,
    RUN,
    RUNS,
    SLICES,
    SPLIT,
    TRIAL_SEED,
    UNCERTAIN,
    VARIANT,
    WINDOW,
    WORKERS,
)

ELSEWHERE = partial(typer.Option, rich_help_panel="Another site")


def evaluate(
    run: Annotated[str | None, RUN] = None,
    runs: Annotated[Path, RUNS] = Path("runs"),
    variant: Annotated[str | None, VARIANT] = None,
    label_fraction: Annotated[float | None, FRACTION] = None,
    seed: Annotated[int | None, TRIAL_SEED] = None,
    split: Annotated[str, SPLIT] = "test",
    data: Annotated[Path | None, MOVED] = None,
    max_pixels: Annotated[int | None, MAX_PIXELS] = None,
    max_file_mb: Annotated[int | None, MAX_FILE_MB] = None,
    external: Annotated[
        Path | None,
        ELSEWHERE(
            help="Labelled images that no split has seen, as of another hospital: scored in place of the split's, and "
            "beside the test split. The options of reading below are theirs.",
            metavar="FOLDER|CSV",
        ),
    ] = None,
    external_name: Annotated[
        str | None, ELSEWHERE(help="What they are called in files and tables. Default: as their folder.")
    ] = None,
    map_class: Annotated[
        list[str] | None,
        ELSEWHERE(help="Their class is one of ours; once a class. Default: by name.", metavar="THEIRS=OURS"),
    ] = None,
    allow_overlap: Annotated[
        bool, ELSEWHERE("--allow-overlap", help="Score them although the arms have seen some; said beside the scores.")
    ] = False,
    labels: Annotated[Path | None, LABELS] = None,
    layout: Annotated[str | None, LAYOUT] = None,
    image_column: Annotated[str | None, IMAGE_COLUMN] = None,
    label_column: Annotated[str | None, LABEL_COLUMN] = None,
    group_column: Annotated[str | None, GROUP_COLUMN] = None,
    class_level: Annotated[int | None, CLASS_LEVEL] = None,
    label_separator: Annotated[str | None, LABEL_SEPARATOR] = None,
    uncertain: Annotated[str | None, UNCERTAIN] = None,
    group_pattern: Annotated[str | None, GROUP_PATTERN] = None,
    missing: Annotated[str | None, MISSING] = None,
    bad_images: Annotated[str | None, BAD_IMAGES] = None,
    frames: Annotated[str | None, FRAMES] = None,
    slices: Annotated[int | None, SLICES] = None,
    window: Annotated[str | None, WINDOW] = None,
    channels: Annotated[str | None, CHANNELS] = None,
    allow_outside: Annotated[bool | None, ALLOW_OUTSIDE] = None,
    operating_point: Annotated[
        list[str] | None,
        typer.Option(
            help="Threshold, chosen on validation images, of which sensitivity, specificity, PPV, NPV and likelihood "
            "ratios are told: sensitivity=0.95, specificity=0.9 or youden; may be repeated.",
            rich_help_panel=OUTPUT,
            metavar="GOAL",
        ),
    ] = None,
    positive: Annotated[
        str | None,
        typer.Option(
            help="The class that operating points, calibration and decision curves are of. Default: the second of "
            "two, each of more.",
            rich_help_panel=OUTPUT,
            metavar="CLASS",
        ),
    ] = None,
    prevalence: Annotated[
        list[str] | None,
        typer.Option(
            help="PPV and NPV also where this share of patients has the class: 0.02, or CLASS=0.02; may be repeated.",
            rich_help_panel=OUTPUT,
            metavar="SHARE",
        ),
    ] = None,
    patient_rule: Annotated[str | None, PATIENT_RULE] = None,
    subgroup: Annotated[
        list[str] | None,
        typer.Option(
            help="Score each group of this column by itself (sex, age in bands, site, …); may be repeated.",
            rich_help_panel=OUTPUT,
            metavar="COLUMN",
        ),
    ] = None,
    metadata: Annotated[
        Path | None,
        typer.Option(
            help="Table that has the columns of --subgroup, a row an image or a patient. Default: what the data keep.",
            rich_help_panel=OUTPUT,
            metavar="CSV",
        ),
    ] = None,
    corruptions: Annotated[
        bool,
        typer.Option(
            "--corruptions",
            help="Score corrupted images too: noise, blur, brightness, contrast, JPEG, colour, at five strengths each.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    corruption_images: Annotated[
        str | None,
        typer.Option(
            help="At most so many images are corrupted, drawn in the classes' shares, whole patients; all: every one. "
            "Default: 500.",
            rich_help_panel=OUTPUT,
            metavar="N|all",
        ),
    ] = None,
    resamples: Annotated[
        int, typer.Option(help="Bootstrap resamples behind the intervals; 0: none.", min=0, rich_help_panel=OUTPUT)
    ] = 1000,
    device: Annotated[str | None, DEVICE] = None,
    precision: Annotated[str | None, PRECISION] = None,
    cache: Annotated[str | None, CACHE] = None,
    workers: Annotated[int | None, WORKERS] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Score a fine-tuning on the test split: both arms, their mean, and which of them validation recommends.

    All metrics come with 95 % bootstrap intervals over images, or over patients where the data name them; so do
    calibration and, with --operating-point, what an answer is worth as a test for one class.
    Then predictions and curves (CSV), scores (JSON) and figures are written into the fine-tuning.
    With --external FOLDER, images of another site are scored, with how far each score falls from home; with
    --corruptions, how far it falls where images are noisy, blurred or brighter, ….
    """
    from cass_cli.config.flags import check_external
    from cass_cli.config.load import flag_layer
    from cass_cli.data.splits import check_split
    from cass_cli.reports.loading import loading
    from cass_cli.reports.progress import counting, stages
    from cass_cli.runs.directory import settings_over
    from cass_cli.runs.names import find
    from cass_cli.scores.goals import read_asked

    check_split(split)
    reading = {
        "data.labels": labels,
        "data.layout": layout,
        "data.image_column": image_column,
        "data.label_column": label_column,
        "data.group_column": group_column,
        "data.class_level": class_level,
        "data.label_separator": label_separator,
        "data.uncertain": uncertain,
        "data.group_pattern": group_pattern,
        "data.missing": missing,
        "data.bad_images": bad_images,
        "data.frames": frames,
        "data.slices": slices,
        "data.window": window,
        "data.channels": channels,
        "data.allow_outside": allow_outside,
    }
    about = {"external_name": external_name, "map_class": map_class, "allow_overlap": allow_overlap or None}
    check_external(external is not None, split, reading | about)
    asked = read_asked(operating_point, positive, prevalence)
    trial = find(runs, run).trial(variant, fraction=label_fraction, seed=seed)
    with loading():
        from cass_cli.data.class_names import class_pairs
        from cass_cli.engine.finetuning.corrupted import corruptions_asked
        from cass_cli.engine.finetuning.evaluate import evaluate as score
        from cass_cli.engine.finetuning.external import evaluate_external, external_data
        from cass_cli.engine.finetuning.external import external_name as named
        from cass_cli.engine.finetuning.people import people_asked
        from cass_cli.reports.evaluation import show_evaluation, show_files, write_evaluation
        from cass_cli.reports.robustness_in_words import forecast_in_words

    everywhere = {
        "data.max_pixels": max_pixels,
        "data.max_file_mb": max_file_mb,
        "data.cache": cache,
        "data.workers": workers,
    }
    people = people_asked(patient_rule, subgroup or [], metadata)
    worse = corruptions_asked(corruptions, corruption_images)
    computing = {"train.device": device, "train.precision": precision}
    settings = settings_over(trial.variant.config, [flag_layer({"data.path": data, **everywhere, **computing})])
    with stages() as told:
        if external is None:
            found = score(
                settings,
                trial,
                split=split,
                resamples=resamples,
                asked=asked,
                people=people,
                corruptions=worse,
                on_progress=told,
                on_forecast=lambda forecast: told.say(forecast_in_words(forecast)),
            )
        else:
            found = evaluate_external(
                settings,
                trial,
                external_data(settings.config.data, flag_layer({"data.path": external, **reading, **everywhere})),
                name=named(external, external_name),
                class_pairs=class_pairs(map_class or []),
                allow_overlap=allow_overlap,
                resamples=resamples,
                asked=asked,
                people=people,
                corruptions=worse,
                on_progress=told,
                on_forecast=lambda forecast: told.say(forecast_in_words(forecast)),
            )
    try:
        if not as_json:
            show_evaluation(found)  # before the figures, which take their time
    finally:  # also for a reader who has seen enough (| head)
        with counting("Writing") as progress:
            files = write_evaluation(found, on_progress=progress)
    show_files(found, files, as_json=as_json)
