"""What a run knows of its data, as sentences for the items of reporting checklists."""

from __future__ import annotations

from cass_cli.data.splits import SPLITS
from cass_cli.reports.card_known import Known
from cass_cli.reports.html import setting_text
from cass_cli.runs.flow import Flow, Part
from cass_cli.words import count, shown_list

MOST_REASONS = 10  # of those for which files were left out


def facts_of_data(known: Known) -> dict[str, str]:
    config, flow, summary = known.config.data, known.flow, known.tuned.summary
    read = [f"{name} {setting_text(getattr(config, name))}" for name in ("frames", "slices", "window", "channels")
            if known.origins.get(f"data.{name}", "default") != "default"]  # fmt: skip
    several = "0/1 for each of" if summary.multilabel else "one of"
    return {
        "data": f"{_told(flow.found)} in one collection; it is not known to the run where they come from.",
        "excluded": _excluded(flow),
        "preprocessing": f"Each image is decoded to RGB and brought to a square of {known.side} pixels a side "
        f"({config.fit}); channels are standardised with mean {setting_text(config.mean)} and deviation "
        f"{setting_text(config.std)}. {f'Read with {shown_list(read)}. ' if read else ''}All images are treated alike.",
        "outcome": f"Labels as the data have them: {several} {count(len(summary.classes), 'class', 'classes')} "
        f"({shown_list(summary.classes, 20)}).",
        "predictors": "The pixels of the image alone; nothing was selected, and nothing else of a patient is used.",
        "missing": f"Nothing is imputed. {_excluded(flow)}"
        + (" A label that is not known of a class has no part in learning or scoring of it." * summary.multilabel),
        "partitions": f"{_assigned(known)} {_sizes(flow)} Training images teach, validation images choose (stopping, "
        "calibration, thresholds, whose answer is taken), test images are only scored.",
        "disjoint": f"{_disjoint(known)} {known.images.leaks}",
        "subset": _subset(known),
        "sample": f"{_sizes(flow)} {_subset(known)} {_classes(known)} No calculation of a sample size is part of cass.",
        "flow": f"{_told(flow.found)} were found. {_excluded(flow)} {_sizes(flow)} {_subset(known)}",
        "classes": _classes(known),
        "characteristics": _characteristics(known),
    }


def _told(part: Part, noun: str = "image") -> str:
    of = f" of {count(part.groups, 'known patient or lesion', 'known patients or lesions')}" if part.groups else ""
    return f"{count(part.images, noun)}{of}"


def _excluded(flow: Flow) -> str:
    """Say how many images were left out, and why."""
    reasons: dict[str, int] = {why: part.images for why, part in flow.left_out.items()}
    for by_reason in flow.excluded.values():
        for why, part in by_reason.items():
            reasons[why] = reasons.get(why, 0) + part.images
    if not reasons:
        return "No image was left out."
    told = [f"{images:,} ({why})" for why, images in sorted(reasons.items(), key=lambda of: (-of[1], of[0]))]
    return f"Left out: {shown_list(told, MOST_REASONS)}."


def _sizes(flow: Flow) -> str:
    """Say what each split has that can be used."""
    told = [f"{split} {_told(flow.used[split])}" for split in SPLITS]
    return f"Readable and labelled: {'; '.join(told)}."


def _subset(known: Known) -> str:
    summary = known.tuned.summary
    if summary.fraction >= 1:
        return f"The model saw all {count(summary.labels, 'training label')}."
    return (
        f"The model saw {count(summary.labels, 'training label')}, {100 * summary.fraction:.3g} % of them, drawn by "
        f"class with seed {summary.seed}."
    )


def _assigned(known: Known) -> str:
    """Say how images came into their splits."""
    config = known.config.data
    if config.splits is not None:
        return f"Splits were read from {config.splits.name}."
    if config.split_lists or (config.split_column not in (None, "none")):
        return "Splits are those that the data name."
    near = ", near-identical images in one split" if config.split_by_duplicates else ""
    whole = ", whole patients or lesions in one split" if known.flow.grouped else ""
    shares = " / ".join(f"{100 * share:g} %" for share in config.fractions)
    return (
        f"Splits that the data name are kept; where they name none, images were divided at random with seed "
        f"{known.config.train.seed} into {shares} (train, val, test), by class{whole}{near}."
    )


def _disjoint(known: Known) -> str:
    crossing = known.images.leaking_groups
    if not known.flow.grouped:
        return "Images: which of them are of one patient is not known to the run."
    if crossing:
        several = count(len(crossing), "known patient or lesion is", "known patients or lesions are")
        return f"Images: {several} in several splits."
    return "Patients or lesions: none that is known is in two splits."


def _classes(known: Known) -> str:
    counts = known.images.class_counts
    told = [f"{name} {' / '.join(f'{of[split]:,}' for split in SPLITS)}" for name, of in counts.items()]
    return f"Images by class (train / val / test): {shown_list(told, 30)}."


def _characteristics(known: Known) -> str:
    if not known.subgroups:
        return "The run knows nothing of the people but their images."
    told = [f"{name} ({count(values, 'value')})" for name, values in known.subgroups.items()]
    return f"The run knows of its images, in subgroups.csv: {shown_list(told)}; they are not described here."
