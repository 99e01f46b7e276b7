"""What `cass predict` writes and shows."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from rich.text import Text

from cass_cli.csv_cells import CellWriter
from cass_cli.engine.finetuning.predict import Prediction
from cass_cli.engine.finetuning.tuned_arms import TunedArms
from cass_cli.errors import DataError, RunError
from cass_cli.files import whole_text
from cass_cli.reports.printing import Screen, print_json
from cass_cli.words import shown

MOST_CLASSES = 20  # counted on the screen
LISTED = 10  # unreadable files named on the screen; the CSV names all


@dataclass
class Tally:
    """What a stream of predictions held, counted as it went by."""

    images: int = 0
    flagged: int = 0
    disagreeing: int = 0
    chosen: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    first_unreadable: list[Prediction] = field(default_factory=list)

    def count(self, prediction: Prediction) -> None:
        """Count one more."""
        self.images += 1
        if prediction.probabilities is None:
            self.unreadable += 1
            if len(self.first_unreadable) < LISTED:
                self.first_unreadable.append(prediction)
            return
        self.flagged += prediction.flagged
        self.disagreeing += prediction.agree is False
        self.chosen[prediction.chosen] += 1

    def check_answered(self, *, hint: str) -> None:
        """Raise `DataError` where no image could be read."""
        if self.unreadable and self.unreadable == self.images:
            first = self.first_unreadable[0]
            what = "The image cannot" if self.images == 1 else f"None of the {self.images:,} images can"
            raise DataError(
                f"{what} be read, so there is no answer: {shown(first.image)} is {first.status}.", hint=hint
            )


def write_predictions(
    predictions: Iterable[Prediction], arms: TunedArms, out: Path, *, overwrite: bool = False, asked: bool = False
) -> Tally:
    """Write a row an image to the CSV `out` ("-": stdout) as the predictions come; the file appears when complete.

    Raises `RunError` when it exists, unless `overwrite`. Where a user `asked` for this path, a link stays one.
    """
    if out.exists() and not overwrite:
        raise RunError(f"{out} exists already.", hint="Choose another --out, or replace it with --overwrite.")
    tally, columns = Tally(), prediction_columns(arms)
    with _opened(out, asked=asked) as file:
        writer = CellWriter(file)
        writer.writerow(columns)
        for p in predictions:
            tally.count(p)
            values = prediction_values(p)
            writer.writerow([p.image, p.status, *map(_cell, values), *[""] * (len(columns) - 2 - len(values))])
    return tally


def prediction_columns(arms: TunedArms) -> list[str]:
    """Return the columns of a table of predictions."""
    several = [*arms.networks] if len(arms.networks) > 1 else []
    probabilities = [f"p:{name}" for name in arms.summary.classes]
    agree = ["arms_agree"] if several else []
    return ["image", "status", "chosen", "confidence", "low_confidence", *agree, *probabilities, *several]


def prediction_values(p: Prediction) -> list[str | bool | float]:
    """Return the values of an image in the columns behind its status; none where it could not be read."""
    if p.probabilities is None:
        return []
    agree, by_arm = ([], ()) if p.agree is None else ([p.agree], p.by_arm)
    return [p.chosen, p.confidence, p.flagged, *agree, *map(float, p.probabilities), *by_arm]


def show_predictions(tally: Tally, arms: TunedArms, candidate: str, out: Path, *, as_json: bool) -> None:
    """Show how many images got which answer, how many are doubtful, and what could not be read.

    Raises `DataError`, after all that, where no image could be read.
    """
    if as_json:
        print_json(
            {
                "out": str(out),
                "images": tally.images,
                "unreadable": tally.unreadable,
                "low_confidence": tally.flagged,
                "arms_disagree": tally.disagreeing,
                "chosen": dict(tally.chosen.most_common()),
                "answered_by": candidate,
                "flag_rule": arms.summary.judgement.flag_rule,
            }
        )
    else:
        _show_tally(tally, arms, candidate, out)
    where = "above" if str(out) == "-" else f"in {out}"
    tally.check_answered(hint=f"The column status {where} says why, image by image.")


def _show_tally(tally: Tally, arms: TunedArms, candidate: str, out: Path) -> None:
    console = Screen(stderr=str(out) == "-", soft_wrap=True)
    answered = tally.images - tally.unreadable
    unread = f"; {tally.unreadable:,} cannot be read" if tally.unreadable else ""
    lead = Text(f"{answered:,} of {tally.images:,} images answered by ")
    console.print(lead.append(candidate, style="bold").append(unread))
    for name, count in tally.chosen.most_common(MOST_CLASSES):
        console.print(Text(f"  {count:>7,}  {shown(name) or '(no class)'}"))
    if len(tally.chosen) > MOST_CLASSES:
        console.print(f"  and {len(tally.chosen) - MOST_CLASSES:,} other answers, each no more often")
    if answered and len(arms.networks) > 1:
        console.print(f"The arms disagree on {tally.disagreeing:,}.")
    if answered:
        console.print(Text(f"Low confidence: {tally.flagged:,} ({arms.summary.judgement.flag_rule})."))
    for bad in tally.first_unreadable:
        console.print(Text(f"Skipped {shown(bad.image)}: {bad.status}", style="yellow"))
    if tally.unreadable > LISTED:
        console.print(f"… and {tally.unreadable - LISTED:,} more that cannot be read.", style="yellow")
    if str(out) != "-":
        console.print(Text("Written: ").append(str(out), style="cyan"))


@contextmanager
def _opened(out: Path, *, asked: bool) -> Iterator[IO[str]]:
    """Open `out` for writing so that it is there whole or not at all."""
    if str(out) == "-":
        yield sys.stdout
        return
    with whole_text(out, hint="Choose another --out.", asked=asked) as file:
        yield file


def _cell(value: str | bool | float) -> str:
    if isinstance(value, str):
        return value
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value:.6g}"
