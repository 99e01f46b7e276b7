"""What `cass errors` shows and writes: one HTML page of pictures that needs nothing beside it, a table, JSON.

`errors.html.j2` is the page; its style and what it escapes are the report's (`html.py`).
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image
from rich.table import Table
from rich.text import Text

from cass_cli import __version__
from cass_cli.engine.reviewing.job import Review, Shown
from cass_cli.engine.reviewing.label_check import Doubted, LabelCheck
from cass_cli.files import write_text
from cass_cli.reports.html import check_replaceable, page_environment, places_of
from cass_cli.reports.html_figures import data_uri
from cass_cli.reports.map_plots import overlaid
from cass_cli.reports.printing import Screen, print_json, print_sentence
from cass_cli.reports.tables import print_table
from cass_cli.runs.ancestry import older_note
from cass_cli.runs.names import run_flags
from cass_cli.runs.trials import Trial, method_name
from cass_cli.words import count, label_share, shown

GENERATOR = "cass errors"
SIDE = 224  # pixels of a picture on the page: larger ones are made smaller
QUALITY = 85  # of a JPEG
ON_SCREEN = 3  # of each kind
LONGEST = 40  # characters of a name on the screen


@dataclass(frozen=True)
class Tile:
    """A picture of a case."""

    src: Markup  # data URI
    alt: str
    caption: str


def page_in(trial: Trial, split: str) -> Path:
    """Return where the page lies unless another place is asked for."""
    return trial.path / f"errors-{split}.html"


def write_errors(found: Review, path: Path, *, asked: bool = False) -> int:
    """Write the page and return its size in bytes; where a user `asked` for this path, a link stays one."""
    check_replaceable(path, generator=GENERATOR)
    write_text(path, render(found), asked=asked)
    return path.stat().st_size


def render(found: Review) -> str:
    """Return the page."""
    run, data = found.trial.variant.run, found.data_folder
    lists = {
        "wrong": (found.wrong, "sure"),
        "doubtful": (found.doubtful, "sure"),
        "apart": (found.apart, "apart"),
    }
    return (
        page_environment(places_of([run.path], [data] if data else []))
        .get_template("errors.html.j2")
        .render(
            found=found,
            lists=lists,
            title=f"Answers worth a look: {run.path.resolve().name}",
            generator=f"{GENERATOR} {__version__}",
            method=method_name(found.summary),
            share=label_share(found.trial.fraction),
            older=older_note(found.trial.variant, 1, 1) if found.older_than_arms else "",
            tiles=tiles,
            picture=picture,
            label_summary=label_summary,
        )
    )


def picture(pixels: NDArray[np.uint8]) -> Markup:
    """Return uint8 [3, S, S] as a data URI; it is made of pixels alone, so it holds nothing else of its file."""
    return _jpeg(pixels.transpose(1, 2, 0))


def tiles(case: Shown, kinds: dict[str, str]) -> list[Tile]:
    """Return the picture of a case and, for each arm, what it looked at laid over it."""
    plain = case.pixels.transpose(1, 2, 0)
    found = [Tile(_jpeg(plain), f"{case.image}, labelled {case.given}, answered {case.chosen}", "image")]
    for arm, values in case.maps.items():
        where = f"Where the {arm} looks on {case.image} ({kinds[arm]}): strongest {_strongest(values)}"
        found.append(Tile(_jpeg(overlaid(plain, values)), where, arm if values.any() else f"{arm}: empty"))
    return found


def _strongest(values: NDArray[np.float64]) -> str:
    """Return in words where a map [h, w] is strongest, for those who do not see it."""
    if not values.any():
        return "nowhere, the map is empty"
    rows, columns = values.shape
    row, column = divmod(int(values.argmax()), columns)
    down = ("at the top", "in the middle", "at the bottom")[min(3 * row // rows, 2)]
    across = ("left", "centre", "right")[min(3 * column // columns, 2)]
    return f"{down}, {across}"


def _jpeg(pixels: NDArray[np.uint8]) -> Markup:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return data_uri("image/jpeg", file.getvalue())


def label_summary(labels: LabelCheck) -> str:
    """Say how many labels were judged, and how many of them may be wrong."""
    if not labels.judged:
        return f"None of {count(labels.labels, 'training label')} could be judged: each class needs several images."
    judged = f"Of {count(labels.labels, 'training label')} that were shown, {labels.judged:,} could be judged"
    share = f"an estimated {100 * labels.wrong / labels.judged:.1f} % of these are wrong"
    found = count(labels.candidates, "is a candidate for a look", "are candidates for a look")
    return f"{judged}; {share}, if the model is right about its own doubts. {found[0].upper()}{found[1:]}."


def show_errors(found: Review, path: Path, size: int, *, as_json: bool) -> None:
    """Show the first of each kind and where the page is; as JSON, all of them."""
    if as_json:
        print_json(as_dict(found) | {"page": str(path), "bytes": size})
        return
    console = Screen(soft_wrap=True)
    head = f", {label_share(found.trial.fraction, 'training labels')}, seed {found.trial.seed}"
    print_sentence(console, Text(method_name(found.summary), style="bold").append(head, style="not bold"))
    print_sentence(console, f"{found.candidate} answers {_right(found)}.")
    console.print()
    print_table(console, _table(found), names=2)
    if found.labels:
        print_sentence(console, f"\n{label_summary(found.labels)}")
    for note in dict.fromkeys(found.notes):
        print_sentence(console, Text(f"• {note}", style="dim"))
    if found.older_than_arms:
        console.print(Text(f"Warning: {older_note(found.trial.variant, 1, 1)}", style="yellow"))
    console.print(Text("\nWritten: ").append(f"{path}", style="cyan").append(f"  ({size / 1000:,.0f} kB, one file)"))
    console.print(Text(f"Next: cass report{run_flags(found.trial.variant.run, option='')}"))


def _right(found: Review) -> str:
    right = found.images - found.answered_wrong
    return f"{right:,} of {count(found.images, f'{found.split} image')} rightly"


def _table(found: Review) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "image", "label", "answer"):
        table.add_column(heading, overflow="fold")
    table.add_column("sure, or apart", justify="right", no_wrap=True)
    for name, cases in (("surest wrong", found.wrong), ("doubtful right", found.doubtful), ("arms apart", found.apart)):
        for i, case in enumerate(cases[:ON_SCREEN]):
            row = (name if i == 0 else "", shown(case.image, LONGEST), shown(case.given), shown(case.chosen))
            table.add_row(*map(Text, row), f"{case.value:.3f}")
    for i, of in enumerate(found.labels.doubted[:ON_SCREEN] if found.labels else ()):
        row = ("label in doubt" if i == 0 else "", shown(of.image, LONGEST), shown(of.given), shown(of.suggested))
        table.add_row(*map(Text, row), f"{of.suggested_probability:.3f}")
    return table


def as_dict(found: Review) -> dict[str, Any]:
    """Return plain JSON values, without pictures."""
    labels = found.labels
    return {
        "trial": str(found.trial.path),
        "split": found.split,
        "candidate": found.candidate,
        "images": found.images,
        "wrong": found.answered_wrong,
        "surest_wrong": _listed(found.wrong),
        "doubtful_right": _listed(found.doubtful),
        "arms_apart": _listed(found.apart),
        "maps": dict(found.kinds),
        "labels": None
        if labels is None
        else {
            "shown": labels.labels,
            "judged": labels.judged,
            "estimated_wrong": None if math.isnan(labels.wrong) else labels.wrong,
            "candidates": labels.candidates,
            "doubted": [_doubted(of) for of in labels.doubted],
        },
        "notes": list(dict.fromkeys(found.notes)),
        "older_than_arms": list(found.older_than_arms),
    }


def _listed(cases: Sequence[Shown]) -> list[dict[str, Any]]:
    return [
        {
            "image": case.image,
            "label": case.given,
            "chosen": case.chosen,
            "about": case.about,
            "value": case.value,
            "probabilities": {name: dict(of) for name, of in case.probabilities.items()},
        }
        for case in cases
    ]


def _doubted(of: Doubted) -> dict[str, Any]:
    return {
        "image": of.image,
        "label": of.given,
        "suggested": of.suggested,
        "margin": of.margin,
        "label_probability": of.given_probability,
        "suggested_probability": of.suggested_probability,
    }
