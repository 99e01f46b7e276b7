"""What a run knows of the items of reporting checklists, as sentences: `checklists.yaml` names them.

Nothing is said that the run's files do not say; what has not been measured is named with the command that measures it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cass_cli.data.corruptions import STRENGTHS
from cass_cli.reports.card_data import facts_of_data
from cass_cli.reports.card_known import Known
from cass_cli.reports.html import setting_text
from cass_cli.reports.robustness_in_words import kinds_of
from cass_cli.reports.subgroups_in_words import gap_in_words
from cass_cli.reports.summary_in_words import not_known
from cass_cli.runs.records import EvaluationRecord
from cass_cli.runs.summary import TrialSummary
from cass_cli.scores.calibration import ENSEMBLE, JOINT, MEAN
from cass_cli.scores.guard import PROBE
from cass_cli.scores.metrics import METRICS
from cass_cli.words import count, shown_list

MACHINE = ("command", "platform", "threads", "gpu")  # of an environment.json: what is no version
MOST_CLASSES = 30  # told one by one


def card_facts(known: Known) -> dict[str, str]:
    """Return what is known of each item, by the names in `checklists.yaml`."""
    return {**facts_of_data(known), **_of_model(known), **_of_results(known)}


def _of_model(known: Known) -> dict[str, str]:
    summary, judged, config = known.tuned.summary, known.tuned.summary.judgement, known.config
    arms = [f"{name} {arm.model}" for name, arm in summary.arms.items()]
    began = [f"{name} from {arm.weights or 'weights that are not recorded'}" for name, arm in summary.arms.items()]
    changed = [f"{key} {setting_text(value)}" for key, value in known.settings.items()]
    versions = dict(known.environment or {})
    listed = [f"{name} {value}" for name, value in versions.items() if name not in MACHINE]
    steps = f", {count(summary.epochs, 'epoch')} at most" if summary.epochs else ""
    pretrained = summary.method if summary.method != "none" else "none was used"
    imbalance = (
        "Classes count alike in the regression."
        if summary.recipe == PROBE
        else f"Class weights of the loss: {config.finetune.class_weights}; sampling: {config.finetune.sampling}."
    )
    return {
        "model": f"{shown_list(arms)}. {_trained(known)} Input: one RGB image, {known.side} pixels "
        f"a side. Output: a probability for each of {count(len(summary.classes), 'class', 'classes')}.",
        "software": f"{shown_list(listed, 20)}." if listed else "Not recorded.",
        "initialisation": f"{shown_list(began)}. Pretraining on these images: {pretrained}.",
        "building": f"Recipe {summary.recipe}, seed {summary.seed}{steps}. "
        f"Settings that are not the defaults: {shown_list(changed, 40) or 'none'}. Its config.yaml has all.",
        "selection": f"Of {shown_list(judged.candidates)} the answer of {judged.pick} is taken: {judged.reason}",
        "ensembling": _ensembling(known),
        "imbalance": f"{imbalance} {_calibrated(summary)}.",
        "output": _output(known),
        "updating": "cass does not change a model after its evaluation.",
        "predict": f"By the arms and settings that the trial keeps: {known.command('predict IMAGES')}",
        "specification": "Weights with the names and options by which timm builds the networks, temperatures and "
        "thresholds, and all settings, are in the folder of the trial.",
        "code": f"cass {versions.get('cass', '(version not recorded)')}, MIT licence.",
        "bad_input": "An image that cannot be read gets no answer, and the reason is told. An answer less sure than "
        f"{judged.flag_below:.3f} is marked ({judged.flag_rule}).",
        "blinded": "The model sees pixels alone. Test labels had no part in training, calibration or choice.",
        "indeterminate": f"Each image that can be read gets an answer. Marked as doubtful: {judged.flag_rule}.",
    }


def _trained(known: Known) -> str:
    """Say what of each arm was trained."""
    summary = known.tuned.summary
    if summary.members:
        return f"An average of {count(len(summary.members), 'fine-tuning')}, each of which has a card of its own."
    probed = "frozen, with a logistic regression on several of its layers"
    trained = "frozen but for its head" if summary.frozen else "all of it trained"
    told = [f"{name}: {probed if arm.kept == PROBE else trained}" for name, arm in summary.arms.items()]
    return f"{shown_list(told)}."


def _ensembling(known: Known) -> str:
    summary, judged = known.tuned.summary, known.tuned.summary.judgement
    of = f"Of {shown_list(list(summary.members))}: " if summary.members else ""
    ways = {
        MEAN: "The mean of the arms' answers is taken.",
        JOINT: "One regression reads the features of both arms.",
        ENSEMBLE: "The answers of arms and regressions are averaged, weighed by validation images.",
    }
    return of + ways.get(judged.pick, f"No ensembling: the answer of {judged.pick} is taken.")


def _calibrated(summary: TrialSummary) -> str:
    if not summary.images.get("val"):
        return "Probabilities are not calibrated: there are no validation images"
    return "Probabilities are calibrated by temperature on validation images"


def _output(known: Known) -> str:
    summary, judged = known.tuned.summary, known.tuned.summary.judgement
    calibrated = _calibrated(summary)
    if not summary.multilabel:
        return f"{calibrated}. The likeliest class is answered; there is no threshold."
    found = judged.thresholds.get(judged.pick, [])
    told = [f"{name} {value:.3f}" for name, value in zip(summary.classes, found, strict=False)]
    how = "chosen on validation images by F1" if known.config.finetune.thresholds == "tuned" else "fixed beforehand"
    return f"{calibrated}. A class is answered from its threshold on, {how}: {shown_list(told, MOST_CLASSES)}."


def _of_results(known: Known) -> dict[str, str]:
    evaluation = known.evaluation
    figures = sorted({path.stem.partition("-")[0] for path in (*known.facts.figures, *known.tuned.figures)})
    maps = [name for name in figures if name in ("attention", "features", "similarity")]
    look = f"Not made: {known.command('errors')}"
    failure = (
        f"Surest wrong and most doubtful answers are in {shown_list(known.tuned.pages)}." if known.tuned.pages else look
    )
    return {
        "measures": f"{shown_list(list(METRICS.values()))}; of each class F1, precision, recall, AUROC; calibration "
        "slope and intercept, net benefit, risk–coverage; plots of these, and of confusion, ROC and precision–recall.",
        "uncertainty": _uncertainty(known),
        "robustness": _robustness(known),
        "explain": (
            f"Drawn: {shown_list(maps)}. They are not validated." if maps else "No maps were drawn for the run."
        )
        + (f" Maps beside wrong answers are in {shown_list(known.tuned.pages)}." if known.tuned.pages else ""),
        "internal": _performance(known),
        "external": _external(known),
        "subgroups": _subgroups(known),
        "performance": _performance(known),
        "crosstab": _crosstab(evaluation) if evaluation else known.not_measured,
        "failure": failure,
        "limits": " ".join([*map(_missing, known.facts.damaged), not_known(known.facts, known.tuned)]),
    }


def _missing(damaged: str) -> str:
    return f"Not everything of the run could be read, and what is missing here may be missing for that: {damaged}"


def _uncertainty(known: Known) -> str:
    over, found = known.tuned.over_seeds, known.evaluation
    seeds = f" Over {over.n} seeds: {over.mean:.3f} ({over.low:.3f} to {over.high:.3f}, Student's)." if over else ""
    if found is None:
        return f"{known.not_measured}{seeds}"
    if found["scores"][found["recommended"]]["metrics"][found["metric"]]["low"] is None:
        return f"No intervals were computed, or none is defined.{seeds}"
    units = (
        "whole patients or lesions of the test split" if known.flow.grouped else "test images: no patients are known"
    )
    return f"95 % percentile bootstrap intervals over {units}.{seeds}"


def _performance(known: Known) -> str:
    """Return the scores of the recommended answer on the test split."""
    if known.evaluation is None:
        return known.not_measured
    scores = known.evaluation["scores"][known.evaluation["recommended"]]
    told = [f"{METRICS[name]} {estimate_text(of)}" for name, of in scores["metrics"].items() if name in METRICS]
    return f"{known.evaluation['recommended']}, {count(scores['images'], 'test image')}: {shown_list(told)}."


def _external(known: Known) -> str:
    """Return how the recommended answer does on each other site's images, and by how much it falls from home."""
    told = []
    for found in known.tuned.evaluations.values():
        if not (site := found.get("external")):
            continue
        pick, metric = found["recommended"], found["metric"]
        scores, fall = found["scores"][pick], site["drops"].get(pick, {}).get(metric)
        beside = f"; {estimate_text(fall)} from home, on the classes that both show" if fall else ""
        seen = f"; {site['seen_before']:,} of them nearly the same as images at home" if site["seen_before"] else ""
        told.append(
            f"{site['name']}: {count(scores['images'], 'image')}, {METRICS[metric]} by {pick} "
            f"{estimate_text(scores['metrics'][metric])}{beside}{seen}."
        )
    return " ".join(told) or f"No external test was made: {known.command('evaluate')} --external FOLDER"


def _subgroups(known: Known) -> str:
    """Return the score of each group of the test images that was scored by itself, and how far they lie apart."""
    found = known.evaluation
    if found is None or not found.get("subgroups"):
        return f"No group of people or pictures was scored by itself: {known.command('evaluate')} --subgroup COLUMN"
    told = []
    for column, by in found["subgroups"].items():
        of = by[found["recommended"]]
        groups = [
            f"{name} {estimate_text(group['metrics'][of['metric']])} of {count(group['images'], 'image')}"
            for name, group in of["groups"].items()
        ]
        told.append(f"{METRICS[of['metric']]} by {column}: {shown_list(groups, 20)}. {gap_in_words(of)}")
    return " ".join(told)


def _robustness(known: Known) -> str:
    """Return how far the recommended answer's score falls on corrupted test images."""
    found = known.evaluation
    if found is None or not (told := found.get("corruptions")):
        return f"Corrupted images were not scored: {known.command('evaluate')} --corruptions"
    of = told["candidates"][found["recommended"]]
    kinds = ", ".join(kinds_of(told).values())
    return (
        f"{METRICS[told['metric']]} by {found['recommended']} on {count(told['images'], 'test image')} that were "
        f"corrupted ({kinds}; {len(STRENGTHS)} strengths each): {estimate_text(of['drop'])} lower, on average, than on "
        "the same images as they are."
    )


def estimate_text(of: Mapping[str, Any]) -> str:
    """Return a value with its interval; – where it is not defined."""
    if of["value"] is None:
        return "–"
    return f"{of['value']:.3f}" + ("" if of["low"] is None else f" ({of['low']:.3f} to {of['high']:.3f})")


def _crosstab(evaluation: EvaluationRecord) -> str:
    """Return the confusion counts in words, and recall and precision of each class."""
    scores = evaluation["scores"][evaluation["recommended"]]
    rows: Any = scores["confusion"]
    classes = list(scores["classes"])
    cells = [
        f"{name}: recall {estimate_text(scores['per_class']['recall'][name])}, "
        f"precision {estimate_text(scores['per_class']['precision'][name])}, "
        + (
            f"{row[1][1]:,} true and {row[0][1]:,} false positives, {row[1][0]:,} false negatives"
            if scores["multilabel"]
            else "answered as " + ", ".join(f"{other} {n:,}" for other, n in zip(classes, row, strict=True) if n)
        )
        for name, row in zip(scores["classes"], rows, strict=True)
    ]
    return "; ".join(cells[:MOST_CLASSES]) + (
        "; the other classes are in evaluation-test.json." if len(cells) > MOST_CLASSES else "."
    )
