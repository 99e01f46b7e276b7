"""The scores of one trial in plain words: how good, how sure, which answer to trust, where it is weak."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cass_cli.runs.facts import Tuned
from cass_cli.runs.records import EstimateRecord, ScoresRecord
from cass_cli.runs.summary import TrialSummary
from cass_cli.scores.calibration import ENSEMBLE, JOINT, MEAN
from cass_cli.scores.metrics import METRICS
from cass_cli.words import count, shown

WIDE, NARROW = 0.2, 0.06  # of an interval from end to end: wider is rough, narrower is firm
WEAKEST = 2  # classes named
MANY = 4  # classes, from which two are named


def how_good(tuned: Tuned) -> list[str]:
    """Say how often the chosen answer is right on test images, and how sure that is."""
    summary, pick = tuned.summary, tuned.summary.judgement.pick
    evaluation = tuned.evaluations.get("test")
    if evaluation:
        scores = evaluation["scores"][evaluation["recommended"]]
        return [_rightly(scores), *_headline(scores, summary), *_over_seeds(tuned)]
    found = summary.test.get(pick, {})
    value, images = found.get(summary.metric), summary.images.get("test", 0)
    if images and value is not None:
        return [
            f"On {count(images, 'test image')} its {METRICS[summary.metric]} is {value:.2f} (1 is faultless). How sure "
            "that is, cass evaluate tells.",
            *_over_seeds(tuned),
        ]
    if images:
        return [f"On {count(images, 'test image')} its {METRICS[summary.metric]} is not defined."]
    said = ["There are no test images, so how good it is on images that it has not seen is not known."]
    seen = summary.validation.get(pick, {}).get(summary.metric)
    if seen is not None:
        said.append(
            f"On {count(summary.images.get('val', 0), 'validation image')}, by which its answer was chosen, its "
            f"{METRICS[summary.metric]} is {seen:.2f}: that flatters."
        )
    return said


def _rightly(scores: ScoresRecord) -> str:
    """Say how many images were answered rightly, in numbers that can be counted."""
    images = count(scores["images"], "test image")
    if scores["multilabel"]:
        found, there, named = _decisions(scores)
        return (
            f"On {images} it found {found:,} of the {count(there, 'finding')} that are there, and {found:,} of the "
            f"{named:,} that it named are right."
        )
    table: Any = scores["confusion"]
    right = sum(int(row[i]) for i, row in enumerate(table))
    return f"It answered {right:,} of {images} rightly."


def _decisions(scores: ScoresRecord) -> tuple[int, int, int]:
    """Return how many findings of a multi-label split were found, are there, and were named."""
    tables: Any = scores["confusion"]  # [[true negatives, false positives], [false negatives, true positives]]
    hits = sum(int(table[1][1]) for table in tables)
    return hits, hits + sum(int(t[1][0]) for t in tables), hits + sum(int(t[0][1]) for t in tables)


def _headline(scores: ScoresRecord, summary: TrialSummary) -> list[str]:
    metrics, kind = scores["metrics"], scores["multilabel"]
    said = []
    if not kind and (balanced := _given(metrics.get("balanced_accuracy"))):
        tested = sum(n > 0 for n in scores["support"].values())
        chance = 1 / tested if tested else 1.0
        said.append(
            f"On average over {tested:,} classes it recognised {percent(balanced['value'])} of their images "
            f"({_range(balanced, as_percent=True)}guessing: {percent(chance)})."
            if tested > 1
            else "Only one class was tested, so whether it tells classes apart is not shown."
        )
        if balanced["low"] is not None and balanced["low"] <= chance < 1:
            said.append("So it is not shown to be better than guessing.")
    if headline := _given(metrics.get(summary.metric)):
        if summary.metric != "balanced_accuracy":
            meaning = {"macro_f1": ", which counts false alarms too,"}.get(summary.metric, "")
            interval = f" ({_range(headline).removesuffix('; ')})" if headline["low"] is not None else ""
            said.append(f"Its {METRICS[summary.metric]}{meaning} is {headline['value']:.2f} of 1{interval}.")
        said.append(_how_sure(headline, scores["images"]))
    return said


def _how_sure(of: Mapping[str, Any], images: int) -> str:
    if of["low"] is None:
        return f"How sure that is cannot be said of {count(images, 'image')}."
    width = of["high"] - of["low"]
    if width >= WIDE:
        return "That is a rough figure: so few test images leave much to chance."
    if width > NARROW:
        return "Other test images of this kind may give any figure in that range."
    return "That is a firm figure for images of this kind."


def _range(of: Mapping[str, Any], *, as_percent: bool = False) -> str:
    if of["low"] is None:
        return ""
    low, high = (percent(of[end]) if as_percent else f"{of[end]:.2f}" for end in ("low", "high"))
    return f"95 % interval: {low} to {high}; "


def _given(estimate: EstimateRecord | None) -> dict[str, Any] | None:
    """Return an estimate that is defined."""
    return {**estimate} if estimate and estimate["value"] is not None else None


def _over_seeds(tuned: Tuned) -> list[str]:
    if not tuned.over_seeds or tuned.over_seeds.n < 2:
        return []
    found = tuned.over_seeds
    low, high = max(found.low, 0.0), min(found.high, 1.0)
    return [
        f"Repeated with {found.n} draws of chance (seeds), the {METRICS[tuned.summary.metric]} is {found.mean:.2f} on "
        f"average (95 % interval: {low:.2f} to {high:.2f})."
    ]


def who_answers(summary: TrialSummary) -> str:
    """Say whose answer is to be taken, and who decided that."""
    judged = summary.judgement
    names = {name: f"the {kind_of(name)} ({shown(arm.model)})" for name, arm in summary.arms.items()}
    names |= {
        MEAN: "the mean of both networks' answers",
        JOINT: "the answer that reads both networks together (joint)",
        ENSEMBLE: "the average of all answers, by weight (ensemble)",
    }
    if len(summary.arms) == 1:
        return f"That of {names[judged.pick]}, the only network here."
    chosen = (
        "as validation images chose" if summary.images.get("val") else "as there were no validation images to choose by"
    )
    return f"{names[judged.pick][0].upper()}{names[judged.pick][1:]}, {chosen}."


def kind_of(arm: str) -> str:
    """Return what a reader calls an arm."""
    return {"cnn": "CNN", "vit": "Transformer"}.get(arm, arm)


def doubt(tuned: Tuned) -> str:
    """Say how far its own confidence is to be believed, and which answers are flagged."""
    summary, evaluation = tuned.summary, tuned.evaluations.get("test")
    said = []
    scores = evaluation["scores"][evaluation["recommended"]] if evaluation else None
    error = scores["metrics"].get("ece") if scores else None
    if error and error["value"] is not None:
        said.append(f"Its stated confidence was off by about {100 * error['value']:.0f} percentage points on average.")
    if summary.images.get("val"):
        below = percent(summary.judgement.flag_below)
        said.append(f"cass predict flags answers that are less than {below} sure: have those looked at first.")
    else:
        said.append("Without validation images its confidence is not calibrated: do not rely on it.")
    return " ".join(said)


def weak_spots(tuned: Tuned) -> list[str]:
    """Name the classes that the chosen answer tells worst, in numbers that can be counted."""
    evaluation = tuned.evaluations.get("test")
    if not evaluation:
        return []
    scores = evaluation["scores"][evaluation["recommended"]]
    f1 = {
        name: value
        for name, of in scores["per_class"].get("f1", {}).items()
        if (value := of["value"]) is not None and scores["support"][name]
    }
    worst = sorted(f1, key=lambda name: (f1[name], -scores["support"][name]))
    worst = [name for name in worst if f1[name] < 1][: WEAKEST if len(f1) >= MANY else 1]
    if not worst or len(f1) < 2:
        return []
    told = " and ".join(f"{shown(name)} ({_found(scores, name)})" for name in worst)
    return [f"It is weakest on {told}."]


def _found(scores: ScoresRecord, name: str) -> str:
    """Say how many images of a class were found, and how many answers of it are right."""
    place, table = list(scores["classes"]).index(name), scores["confusion"]
    rows: Any = table
    if scores["multilabel"]:
        hits, missed, false = rows[place][1][1], rows[place][1][0], rows[place][0][1]
    else:
        hits = rows[place][place]
        missed, false = sum(rows[place]) - hits, sum(row[place] for row in rows) - hits
    named = hits + false
    right = f"; {hits:,} of {count(named, 'such answer')} right" if named else "; never answered"
    return f"{hits:,} of {count(hits + missed, 'test image')} found{right}"


def percent(share: float) -> str:
    """Return a share as people say it: 84 %, 0.5 %."""
    value = 100 * share
    return f"{value:.0f} %" if value >= 1 or value == 0 else f"{value:.1g} %"
