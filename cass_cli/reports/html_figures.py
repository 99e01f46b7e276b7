"""Pictures inside a report: figures of a run as data URIs, its curves drawn as SVG, each with words for it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup
from PIL import Image

from cass_cli.errors import RunError
from cass_cli.reports.curves import training_figure
from cass_cli.reports.external import place_of
from cass_cli.reports.pictures import svg_of
from cass_cli.runs.facts import RunFacts, Tuned
from cass_cli.runs.rows import EpochRow
from cass_cli.words import count, shown

WORDS = {  # name of a figure's file → caption; the group is an arm, or where the images come from
    r"attention-average-(\w+)": "Where the {} looks: the average over images, for each set of weights",
    r"attention-heads-(\w+)": "Each attention head of the {}'s last block, averaged over images",
    r"attention-distance-(\w+)": "How far each block of the {} looks: mean attention distance",
    r"attention-images()": "Where the arms look on single images",
    r"features-first-(\w+)": "What the first layer of the {} keeps of an image",
    r"features-layers-(\w+)": "What the first layers of the {} keep of an image",
    r"similarity()": "How alike the layers of both arms are (linear CKA; 1: the same up to rotation and scale)",
    r"confusion-([\w.-]+)": "Confusion matrix, {}",
    r"roc-([\w.-]+)": "ROC curve of each class against the rest, {}",
    r"reliability-([\w.-]+)": "Reliability: how often answers were right against how sure they were, {}",
    r"precision-recall-([\w.-]+)": "Precision and recall of each class against the rest, {}",
    r"calibration-([\w.-]+)": "Calibration: how often each class was there, by how probable it was said to be, {}",
    r"decision-([\w.-]+)": "Decision curves: what acting upon the answers is worth at each threshold, {}",
    r"risk-coverage-([\w.-]+)": "Abstention: wrong answers among the surest, by how many are answered, {}",
    r"corruptions-([\w.-]+)": "Scores on corrupted images, by kind and strength of what was done to them, {}",
    r"training()": "Losses and validation score of each epoch of fine-tuning",
}
ARMS = {"cnn": "CNN", "vit": "Transformer"}
MOST_CLASSES = 12  # told one by one in the words for a confusion matrix
KINDS: tuple[Literal["outputs", "features"], ...] = ("outputs", "features")  # that are gauged
SPAN = 100.0  # a loss that falls by more is drawn on a log scale


@dataclass(frozen=True)
class Picture:
    """An image that needs no file beside the page."""

    src: Markup  # data URI
    alt: str
    caption: str
    width: int = 0  # pixels; 0: as the SVG says
    height: int = 0


def embed(path: Path, *, told: str = "") -> Picture:
    """Return the PNG at `path`, with `told` added to the words for those who do not see it."""
    try:
        with Image.open(path) as image:
            width, height = image.size
        data = path.read_bytes()
    except OSError as error:
        raise RunError(
            f"{path} is no readable figure: {error}.", hint="Make it again, or remove it, and repeat the report."
        ) from error
    caption = _caption(path.stem)
    alt = f"{caption}. {told}".strip() if told else f"{caption}."
    return Picture(data_uri("image/png", data), alt, caption, width, height)


def _caption(stem: str) -> str:
    for pattern, words in WORDS.items():
        if match := re.fullmatch(pattern, stem):
            return words.format(ARMS.get(match[1]) or place_of(match[1]))
    return f"Figure {shown(stem)}"


def data_uri(kind: str, data: bytes) -> Markup:
    """Return what `src` is where the picture stands in the page itself."""
    return Markup("data:{};base64,{}").format(kind, base64.b64encode(data).decode("ascii"))


def trial_pictures(tuned: Tuned) -> list[Picture]:
    """Return the figures that `cass evaluate` left in a trial."""
    return [embed(path, told=_told(path.stem, tuned)) for path in tuned.figures]


def _told(stem: str, tuned: Tuned) -> str:
    """Return what a confusion matrix shows in numbers: how many images of each class were found."""
    kind, _, split = stem.partition("-")
    found = tuned.evaluations.get(split)
    if kind != "confusion" or not found:
        return ""
    scores = found["scores"][found["recommended"]]
    if scores["multilabel"] or len(scores["classes"]) > MOST_CLASSES:
        return ""
    rows: Any = zip(scores["classes"], scores["confusion"], strict=True)  # counts, as the classes exclude each other
    parts = (f"{shown(name)} {row[i]} of {sum(row)}" for i, (name, row) in enumerate(rows))
    return f"Rightly answered: {', '.join(parts)}."


def curves(facts: RunFacts) -> list[Picture]:
    """Draw loss and learning rate, then the collapse gauges, over the epochs of pretraining."""
    rows = facts.rows
    if not rows:
        return []
    losses = [row["loss"] for row in rows]
    falls = min(losses) > 0 and max(losses) > SPAN * min(losses)
    epochs = count(len(rows), "epoch")
    loss = _draw(
        rows,
        {"loss": {"loss": losses}, "learning rate": {"learning rate": [row["lr"] for row in rows]}},
        alt=f"Curves of loss and learning rate over {epochs}. The loss was {losses[0]:.4g} after the first epoch and "
        f"{losses[-1]:.4g} after the last.",
        caption=f"Loss{' (log scale)' if falls else ''} and learning rate at the end of each epoch",
        logarithmic=["loss"] if falls else [],
    )
    panels = {
        "spread": _gauge(rows, "spread"),
        "mean cosine": _gauge(rows, "cosine"),
        "effective rank": _gauge(rows, "rank"),
    }
    last = ", ".join(f"{name} {values[-1]:.3f}" for name, values in panels["mean cosine"].items())
    gauges = _draw(
        rows,
        panels,
        alt=f"Curves of spread, mean cosine and effective rank of both arms over {epochs}. "
        f"Mean cosine after the last: {last}.",
        caption="Collapse gauges after each epoch, of what the loss sees (outputs) and of what is kept (features)",
    )
    return [loss, gauges]


def _gauge(rows: Sequence[EpochRow], gauge: Literal["spread", "cosine", "rank"]) -> dict[str, list[float]]:
    return {
        f"{arm} {kind}": [row["gauges"][arm][kind][gauge] for row in rows]
        for arm in rows[-1]["gauges"]
        for kind in KINDS
    }


def _draw(
    rows: Sequence[EpochRow],
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    alt: str,
    caption: str,
    logarithmic: Sequence[str] = (),
) -> Picture:
    figure = training_figure(panels, title="Pretraining", logarithmic=logarithmic, first=rows[0]["epoch"])
    return Picture(data_uri("image/svg+xml", svg_of(figure)), alt, caption)
