"""A run in one paragraph of plain words, for a reader who knows patients rather than networks.

Every number comes from the run's files. Which fine-tuning is told of is not chosen by its scores: it is the one that
`cass predict` answers with unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cass_cli.reports.cross_validation import headline
from cass_cli.reports.scores_in_words import doubt, how_good, kind_of, percent, weak_spots, who_answers
from cass_cli.runs.facts import FineTuning, RunFacts, Tuned
from cass_cli.runs.images_used import UNLABELLED, ImagesUsed
from cass_cli.runs.summary import TrialSummary
from cass_cli.scores.guard import FINE_TUNED, PROBE
from cass_cli.words import count, shown

MOST_NAMED = 6  # classes named one by one
FEW_IMAGES = 10  # of a class: fewer say hardly anything of it
NO_DEVICE = "This is a measurement on one set of images, not a medical device: no answer of it replaces an examination."


def in_words(facts: RunFacts) -> dict[str, str]:
    """Return the parts of the paragraph, lead → sentences: trained on what, how good, which answer, what is unknown."""
    tuned = told_of(facts)
    parts = {"Trained on": _trained(facts, tuned)}
    if tuned is None:
        parts["How good"] = _not_known(facts)
    else:
        parts["How good"] = " ".join(filter(None, (*how_good(tuned), *weak_spots(tuned))))
        parts["Which answer to trust"] = " ".join(
            filter(None, (who_answers(tuned.summary), doubt(tuned), *_others(facts, tuned)))
        )
    parts["Not known"] = not_known(facts, tuned)
    return parts


def not_known(facts: RunFacts, tuned: Tuned | None) -> str:
    """Say what the run cannot tell of a trial."""
    return " ".join(filter(None, (*_unknown(facts, tuned), NO_DEVICE)))


def told_of(facts: RunFacts) -> Tuned | None:
    """Return the trial that `cass predict` takes: of the latest fine-tuning the largest fraction, the lowest seed."""
    named = [tuning for tuning in facts.finetunings if tuning.name == facts.latest_finetuning and tuning.trials]
    finished = named or [tuning for tuning in facts.finetunings if tuning.trials]
    if not finished:
        return None
    trials = finished[-1].trials
    most = max(each.summary.fraction for each in trials)
    return min((each for each in trials if each.summary.fraction == most), key=lambda each: each.summary.seed)


def _trained(facts: RunFacts, tuned: Tuned | None) -> str:
    return " ".join(filter(None, (_pretrained(facts, tuned), _taught(tuned) if tuned else "", _of_whom(facts.images))))


def _pretrained(facts: RunFacts, tuned: Tuned | None) -> str:
    """Say what the networks saw before any label."""
    if facts.state == "not pretrained":
        were = _were({arm: of.model for arm, of in tuned.summary.arms.items()}) if tuned else "its networks were"
        return f"Nothing was pretrained on these images: {were} taken ready-made."
    if not facts.rows:
        ended = facts.summary or facts.state == "damaged"
        return "What the pretraining did cannot be read." if ended else "No epoch of the pretraining has ended yet."
    last, config = facts.rows[-1], facts.config
    if config is None:
        arms = " and ".join(f"the {kind_of(arm)}" for arm in last["gauges"])
        on = count(last["images"], "image")
        return f"Pretrained without labels on {on}: {arms}. With which settings cannot be read."
    models = {"cnn": config.arms.cnn, "vit": config.arms.vit}
    were = _were({arm: models.get(arm, "") for arm in last["gauges"]})
    said = (
        f"{were[0].upper()}{were[1:]} pretrained by "
        f"{shown(config.method.title.upper())}, without labels, on {count(last['images'], 'image')}."
    )
    if facts.go_on:
        said += f" That is unfinished: {facts.epochs} of {count(config.train.epochs, 'epoch')} are done."
    if bad := [arm for arm, state in last["states"].items() if state == "collapsed"]:
        said += "".join(f" The {kind_of(arm)} collapsed: it gives nearly every image the same answer." for arm in bad)
    return said


def _were(models: Mapping[str, str]) -> str:
    """Return "a CNN (resnet50) and a Transformer (…) were"."""
    names = _listed([f"a {kind_of(arm)} ({model})" for arm, model in models.items()])
    return f"{names} {'was' if len(models) == 1 else 'were'}"


def _taught(tuned: Tuned) -> str:
    """Say which labels were seen, and of what classes."""
    s = tuned.summary
    names = f": {_listed(s.classes)}" if len(s.classes) <= MOST_NAMED else ""
    kind = "findings (an image may show several)" if s.multilabel else "classes"
    kept = {arm.kept for arm in s.arms.values()}
    if s.members:
        how = f"The answers of {count(len(s.members), 'fine-tuning')} are averaged. Each learned"
    elif s.recipe == "probe" or kept == {PROBE}:
        how = f"A regression on what {'they see' if len(s.arms) > 1 else 'it sees'} was fitted to"
    elif PROBE in kept:
        how = "One network, and a regression on what the other sees, learned"
    else:
        how = "A new head learned" if s.frozen else f"The network{'s' if len(s.arms) > 1 else ''} then learned"
    share = "all" if s.fraction >= 1 else percent(s.fraction)
    labels = f"the labels of {count(s.labels, 'image')} ({share} of the labelled training images)"
    tell = "tells" if how.startswith("A ") or len(s.arms) == 1 else "tell"
    besides = (
        f" Besides, each learned what the other says of {count(s.untold, 'image')} without a label that is shown."
        if s.untold and FINE_TUNED in kept
        else ""
    )
    return f"{_begun(s)}{how} {labels}, and {tell} {len(s.classes):,} {kind} apart{names}.{besides}"


def _begun(summary: TrialSummary) -> str:
    """Say with what weights the fine-tuning began, where these are not the run's pretrained ones."""
    before = {"imagenet": "ImageNet weights", "random": "random weights"}
    if summary.init == "best":
        before = {"imagenet": "the weights from before that pretraining"}
    named = {arm: before[start] for arm, of in summary.arms.items() if (start := of.start or summary.init) in before}
    if not named:
        return ""
    who = "Fine-tuning" if len(named) == len(summary.arms) else f"The {' and '.join(map(kind_of, named))}"
    return f"{who} began with {' and '.join(dict.fromkeys(named.values()))}. "


def _of_whom(images: ImagesUsed | None) -> str:
    if images is None:
        return ""
    whole = (
        f"Of {count(images.images, 'image')} {images.split_sizes['val']:,} were kept to choose by (validation) and "
        f"{images.split_sizes['test']:,} to test with."
    )
    return f"{whole} They are of {images.groups:,} known patients or lesions." if images.groups else whole


def _not_known(facts: RunFacts) -> str:
    if crossed := [one for tuning in facts.finetunings for one in tuning.crossed]:
        return f"{crossed[-1].method}, in a cross-validation. {headline(crossed[-1])} {crossed[-1].leak}".strip()
    begun = any(tuning.unfinished for tuning in facts.finetunings)
    why = "its fine-tuning is not finished" if begun else "nothing was taught to tell classes apart yet (cass finetune)"
    return f"That is not known: {why}."


def _others(facts: RunFacts, told: Tuned) -> list[str]:
    """Say which of several fine-tunings, label fractions and seeds this is."""
    summary = told.summary
    tuning = next(each for each in facts.finetunings if told in each.trials)
    said = []
    finished = [each for each in facts.finetunings if each.trials]
    several = len(finished) > 1 or len({each.summary.fraction for each in tuning.trials}) > 1
    if several or len(tuning.trials) > 1:
        one = f" (one of {len(finished)})" if len(finished) > 1 else ""
        share = "all of the labels" if summary.fraction >= 1 else f"{percent(summary.fraction)} of the labels"
        said.append(
            f"This tells of the fine-tuning {shown(tuning.name)}{one}, with {share} and seed {summary.seed}: cass "
            "predict answers with it unless told otherwise."
        )
    if tuning.older:
        said.append("The networks of this run were trained further, or replaced, since: this fine-tuning is older.")
    better = [(score, each) for each in finished if each is not tuning and (score := _validated(each, summary))]
    own = _validation(summary)
    if better and own is not None and max(score for score, _ in better) > own:
        score, other = max(better, key=lambda pair: pair[0])
        said.append(f"On validation images {shown(other.name)} scored higher ({score:.2f} against {own:.2f}).")
    return said


def _validated(tuning: FineTuning, like: TrialSummary) -> float | None:
    """Return the highest validation score of a fine-tuning's trials that can be compared with `like`."""
    same = [
        each.summary
        for each in tuning.trials
        if (each.summary.fraction, each.summary.metric, each.summary.classes, each.summary.images.get("val"))
        == (like.fraction, like.metric, like.classes, like.images.get("val"))
    ]
    return max((score for each in same if (score := _validation(each)) is not None), default=None)


def _validation(summary: TrialSummary) -> float | None:
    return summary.validation.get(summary.judgement.pick, {}).get(summary.metric)


def _unknown(facts: RunFacts, tuned: Tuned | None) -> list[str]:
    """Return what the run cannot tell: of which classes, of whom, and what makes its figures flatter."""
    said = []
    if tuned:
        said += _unseen(tuned.summary, _test_images(facts.images, tuned))
    said.append(
        "How it fares elsewhere, with other hospitals, devices or patients: all images come from one collection."
    )
    if facts.config and facts.config.data.path and facts.config.data.path.name.startswith("phantoms-"):
        said.append("These are pictures that cass drew, to try it out: nothing here says anything of real images.")
    return [*said, *_leaking(facts.images, tested=tuned is not None)]


def _test_images(images: ImagesUsed | None, tuned: Tuned) -> Mapping[str, int]:
    """Return how many test images show each class: of those that were scored, where that is known."""
    if found := tuned.evaluations.get("test"):
        return found["scores"][found["recommended"]]["support"]
    if images is None:
        return {}
    return {name: of["test"] for name, of in images.class_counts.items() if name != UNLABELLED}


def _unseen(summary: TrialSummary, tested: Mapping[str, int]) -> list[str]:
    said = []
    if summary.unseen:
        said.append(f"No training image shows {_listed(summary.unseen)}: it cannot have been learned.")
    if summary.untested:
        said.append(f"No test image shows {_listed(summary.untested)}: how well it is told is not known.")
    few = [name for name in summary.classes if 0 < tested.get(name, FEW_IMAGES) < FEW_IMAGES]
    if few:
        all_ = len(few) == len(summary.classes) and len(few) > 1
        of = "each class" if all_ else _listed(few)
        said.append(f"Of {of} there are fewer than {FEW_IMAGES} test images, which say little.")
    return said


def _leaking(images: ImagesUsed | None, *, tested: bool) -> list[str]:
    """Say whether test images may be known from training."""
    if images is None:
        return ["Which images it was trained on cannot be read."]
    too_high = ", so the figures may be too high" if tested else ""
    if images.leaking_groups:
        several = count(len(images.leaking_groups), "patient or lesion is", "patients or lesions are")
        said = [f"{several} in more than one split{too_high}."]
    elif images.groups:
        said = ["No known patient or lesion is in two splits."]
    else:
        said = [f"Which images are of one patient is not known: one may be in training and test{too_high}."]
    if (images.leaks_found and not images.leaking_groups) or (images.leaks_command and not images.leaks_found):
        said.append(images.leaks)
    return said


def _listed(names: Sequence[Any]) -> str:
    """Return names as people list them, cut short."""
    told = [shown(str(name)) for name in names[:MOST_NAMED]]
    if more := len(names) - len(told):
        return f"{', '.join(told)} and {more:,} more"
    return " and ".join(filter(None, (", ".join(told[:-1]), told[-1])))
