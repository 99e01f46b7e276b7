"""What cass left on disk, for Python: `load_run`, `load_arm`, and what names mean."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path

from torch import nn

from cass_cli.api.views import EvaluationView, FinetuningView, RunView
from cass_cli.errors import RunError, did_you_mean
from cass_cli.models import arms as models
from cass_cli.models.card import ArmCard, read_card
from cass_cli.models.heads import ENDING, join
from cass_cli.runs.names import Named, find

AnyPath = str | PathLike[str]
AnyRun = AnyPath | RunView | FinetuningView | EvaluationView
View = RunView | FinetuningView | EvaluationView


def load_run(run: AnyRun | None = None, *, runs: AnyPath = "runs") -> RunView:
    """Return a run: its settings, history, splits, summary, arms and fine-tunings.

    `run` is a name below the folder `runs`, or a path; None is the latest. Raises `cass_cli.errors.RunError` where
    there is nothing of cass. Reading an unfinished run is fine: its history ends where it stands.

    >>> run = load_run("tour")
    >>> run.history[["epoch", "loss"]].shape
    (1, 2)
    >>> run.splits.groupby("split").size().to_dict()
    {'test': 120, 'train': 420, 'val': 60}
    >>> run.settings["method.name"], sorted(run.arms())
    ('cass', ['cnn', 'cnn-averaged', 'vit', 'vit-averaged'])
    """
    return RunView(found(run, runs).run.path)


def load_arm(run: AnyRun, arm: str | None = None, *, runs: AnyPath = "runs") -> tuple[nn.Module, ArmCard]:
    """Return an arm as a network in evaluation mode, on the CPU, and its card.

    `run` is a run, whose pretrained arm is taken: cnn, vit, cnn-averaged or vit-averaged. Or it is a fine-tuning or one
    of its trials, whose classifier is taken: cnn, vit or, where there is one, joint. Or, without `arm`, it is the
    path of an arm's file.

    The card says how the network takes images, float32 [B, 3, S, S]: `card.spec.size` is S; of each channel, scaled to
    0 … 1, `card.spec.mean` is subtracted, then it is divided by `card.spec.std`. A classifier returns logits [B, C] of
    `card.classes`, not calibrated: `predict` does all that for files.

    `card.model` and `card.options` are what timm builds a pretrained arm from. Raises `cass_cli.errors.RunError` where
    there is no such run or arm, `ModelError` where it is damaged.

    >>> network, card = load_arm("tour", "vit")
    >>> card.model, card.spec.size
    ('test_vit', 32)
    >>> network.forward_features(torch.zeros(1, 3, card.spec.size, card.spec.size)).ndim
    3
    """
    folder, name = _place(run, arm, runs)
    head = folder / f"{name}{ENDING}"
    if head.with_suffix(".json").is_file():
        classifier = join(head)
        cards = [read_card(folder / f"{part}.json") for part in classifier.head.card.arms]
        of_head = classifier.head.card
        joined = " + ".join(card.model for card in cards)
        card = replace(cards[0], model=joined, classes=of_head.classes, multilabel=of_head.multilabel)
        return classifier, card
    network, card = models.load_arm(folder / name)
    return network.eval(), card


def found(run: AnyRun | None, runs: AnyPath) -> Named:
    """Return what a view, name or path means; the latest run for None."""
    return find(Path(runs), name_of(run))


def name_of(run: AnyRun | None) -> str | None:
    """Return the name or path by which the options of commands know a run; None for the latest."""
    if isinstance(run, View):
        return str(run.path.absolute())
    return None if run is None else fspath(run)


def _place(run: AnyRun, arm: str | None, runs: AnyPath) -> tuple[Path, str]:
    """Return the folder of an arm and its name there; raise `RunError` where it is not."""
    if arm is None and not isinstance(run, View) and Path(run).with_suffix(".json").is_file():
        return Path(run).parent, Path(run).stem
    named = found(run, runs)
    folder = (named.trial().files if named.variant else named.run).arms
    known = sorted({path.stem.removesuffix(ENDING) for path in folder.glob("*.safetensors")})
    if arm not in known:
        what = f"There is no arm '{arm}' in {folder}.{did_you_mean(arm, known)}" if arm else f"Which arm of {folder}?"
        raise RunError(what, hint=f"It has: {', '.join(known) or 'none yet'}.")
    return folder, arm
