"""What `cass predict` writes and shows."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from rich.text import Text

from cass_cli.csv_cells import CellWriter
from cass_cli.engine.finetuning.predict import Predicting, Prediction
from cass_cli.engine.finetuning.predict_patients import Patients, answer_patients
from cass_cli.engine.finetuning.tuned_arms import TunedArms
from cass_cli.errors import DataError, RunError
from cass_cli.files import whole_text
from cass_cli.reports.printing import Screen, print_json, print_sentence
from cass_cli.scores.patients import Pool
from cass_cli.words import count, shown

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
    pool: Pool | None = None  # of patients, where they are known

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
        if self.pool:
            self.pool.add(prediction.patient or prediction.image, prediction.probabilities)

    def check_answered(self, *, hint: str) -> None:
        """Raise `DataError` where no image could be read."""
        if self.unreadable and self.unreadable == self.images:
            first = self.first_unreadable[0]
            what = "The image cannot" if self.images == 1 else f"None of the {self.images:,} images can"
            raise DataError(
                f"{what} be read, so there is no answer: {shown(first.image)} is {first.status}.", hint=hint
            )


def write_predictions(
    predictions: Iterable[Prediction], job: Predicting, out: Path, *, overwrite: bool = False, asked: bool = False
) -> Tally:
    """Write a row an image to the CSV `out` ("-": stdout) as the predictions come; the file appears when complete.

    Where patients are known, a second file beside it gets a row a patient. Raises `RunError` when one of them exists,
    unless `overwrite`. Where a user `asked` for this path, a link stays one.
    """
    files = [out, patients_file(out)] if job.patients else [out]
    if existing := [file for file in files if file.exists() and not overwrite]:
        raise RunError(f"{existing[0]} exists already.", hint="Choose another --out, or replace it with --overwrite.")
    tally, columns = begin_tally(job), prediction_columns(job.arms)
    with _opened(out, asked=asked) as file:
        writer = CellWriter(file)
        writer.writerow([*columns, *(["patient"] if job.patients else [])])
        for p in predictions:
            tally.count(p)
            values = prediction_values(p)
            cells = [p.image, p.status, *map(_cell, values), *[""] * (len(columns) - 2 - len(values))]
            writer.writerow([*cells, *([p.patient] if job.patients else [])])
    if tally.pool and job.patients:
        with whole_text(patients_file(out), hint="Choose another --out.") as file:
            writer = CellWriter(file)
            writer.writerow(patient_columns(job.patients))
            for patient, images, *values in patient_rows(tally.pool, job.patients):
                writer.writerow([patient, images, *("" if value is None else _cell(value) for value in values)])
    return tally


def begin_tally(job: Predicting) -> Tally:
    """Return what counts the answers of `job` as they come."""
    return Tally(pool=Pool(job.patients.rule) if job.patients else None)


def patients_file(out: Path) -> Path:
    """Return the file of answers by patient that lies beside `out`."""
    return out.with_name(f"{out.stem}-patients{out.suffix}")


def patient_columns(patients: Patients) -> list[str]:
    """Return the columns of a table of answers by patient."""
    return ["patient", "images", "chosen", "confidence", *(f"p:{name}" for name in patients.classes)]


def patient_rows(pool: Pool, patients: Patients) -> Iterator[list[Any]]:
    """Yield the values of each patient in these columns; None where no image of them could be read."""
    for answer in answer_patients(pool, patients):
        if answer.probabilities is None:
            yield [answer.patient, 0, *[None] * (2 + len(patients.classes))]
        else:
            yield [answer.patient, answer.images, answer.chosen, answer.confidence, *map(float, answer.probabilities)]


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


def show_predictions(tally: Tally, job: Predicting, out: Path, *, as_json: bool) -> None:
    """Show how many images got which answer, how many are doubtful, and what could not be read.

    Raises `DataError`, after all that, where no image could be read.
    """
    arms, candidate = job.arms, job.candidate
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
                **({"patients": _patients_json(tally.pool, job.patients, out)} if tally.pool and job.patients else {}),
            }
        )
    else:
        _show_tally(tally, arms, candidate, out)
        if tally.pool and job.patients:
            _show_patients(tally.pool, job.patients, out)
    where = "above" if str(out) == "-" else f"in {out}"
    tally.check_answered(hint=f"The column status {where} says why, image by image.")


def _show_tally(tally: Tally, arms: TunedArms, candidate: str, out: Path) -> None:
    console = Screen(stderr=str(out) == "-", soft_wrap=True)
    answered = tally.images - tally.unreadable
    unread = f"; {tally.unreadable:,} cannot be read" if tally.unreadable else ""
    lead = Text(f"{answered:,} of {tally.images:,} images answered by ")
    console.print(lead.append(candidate, style="bold").append(unread))
    _show_chosen(console, tally.chosen)
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


def _patients_json(pool: Pool, patients: Patients, out: Path) -> dict[str, object]:
    chosen = [answer.chosen for answer in answer_patients(pool, patients) if answer.images]
    return {
        "out": str(patients_file(out)),
        "rule": patients.rule,
        "patients": len(chosen),
        "chosen": dict(Counter(chosen).most_common()),
        "notes": list(patients.notes),
    }


def _show_patients(pool: Pool, patients: Patients, out: Path) -> None:
    console = Screen(soft_wrap=True)
    chosen = Counter(answer.chosen for answer in answer_patients(pool, patients) if answer.images)
    console.print(f"{count(chosen.total(), 'patient')}, by the rule {patients.rule}:")
    _show_chosen(console, chosen)
    for note in patients.notes:
        print_sentence(console, Text(f"• {note}", style="dim"))
    console.print(Text("Written: ").append(str(patients_file(out)), style="cyan"))


def _show_chosen(console: Screen, chosen: Counter[str]) -> None:
    for name, times in chosen.most_common(MOST_CLASSES):
        console.print(Text(f"  {times:>7,}  {shown(name) or '(no class)'}"))
    if len(chosen) > MOST_CLASSES:
        console.print(f"  and {len(chosen) - MOST_CLASSES:,} other answers, each no more often")


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
