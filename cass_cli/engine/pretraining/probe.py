"""What frozen features are worth: a kNN and a linear probe of every arm while they pretrain.

The linear probe is the one that `cass finetune` makes of an arm (`engine/regression.py`, several layers). Both fit on
features of the training split and score on the validation split; the test split is never seen. Labels are looked at,
never learned from by the arms. Probes answer what the loss can't: a collapsing arm has a falling loss and falling
probe scores.

Shapes: N training and M validation images, D features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cass_cli.config.schema import Data
from cass_cli.data.dataset import Dataset, load_images
from cass_cli.data.splits import Labels, labelled
from cass_cli.data.store.store import ImageStore
from cass_cli.data.views.apply import apply_view
from cass_cli.data.views.draw import unchanged
from cass_cli.engine.pretraining.session import Session
from cass_cli.engine.regression import fit_regression
from cass_cli.errors import DataError, RunError
from cass_cli.models.layers import arm_features

BATCH = 64
NEIGHBOURS = 20
VOTE_TEMPERATURE = 0.07
QUERY_ROWS = 1024  # validation images compared at once


@dataclass(frozen=True)
class ProbeScores:
    """Scores of one probe on the validation split."""

    accuracy: float  # multi-label: all known labels of an image right
    macro_f1: float  # over classes shown or chosen, as in `scores/metrics.py`
    note: str = ""


def knn_probe(
    train_features: Tensor,
    train_labels: Labels,
    val_features: Tensor,
    val_labels: Labels,
    *,
    k: int = NEIGHBOURS,
    temperature: float = VOTE_TEMPERATURE,
) -> ProbeScores:
    """Score weighted k-nearest-neighbour votes on cosine similarity.

    Each of the k nearest training images votes for its label with exp(cos / temperature), as in Wu et al.
    2018 ("Unsupervised Feature Learning via Non-Parametric Instance Discrimination", Sec. 3.4) and DINO,
    both with temperature 0.07. Multi-label: a label is chosen when it gets half of the votes of those that know it.
    Runs on the features' device; labels are class indices, or 0/1 for multi-label (−1 in either: left out).
    With fewer than k training images all of them vote.
    """
    train_x, train_y, val_x, val_y = _labelled(train_features, train_labels, val_features, val_labels)
    classes = train_y.shape[1] if train_y.ndim == 2 else int(max(train_y.max(), val_y.max())) + 1
    given = torch.as_tensor(train_y, device=train_x.device)
    shown = ((given == 1) if train_y.ndim == 2 else F.one_hot(given.long(), classes)).float()  # [N, C]
    unknown = (given < 0).float()  # [N, C] when multi-label
    keys = F.normalize(train_x, dim=1)  # [N, D]
    k = min(k, len(keys))
    chosen = []
    for queries in torch.split(F.normalize(val_x, dim=1), QUERY_ROWS):
        cosine, nearest = (queries @ keys.T).topk(k, dim=1)  # [m, k]
        share = torch.softmax(cosine / temperature, dim=1)  # the same vote, without overflow
        votes = (share.unsqueeze(2) * shown[nearest]).sum(dim=1)  # [m, C]
        if train_y.ndim == 2:
            silent = (share.unsqueeze(2) * unknown[nearest]).sum(dim=1)  # [m, C]
            chosen.append((votes >= 0.5 * (1 - silent)) & (votes > 0))
        else:
            chosen.append(votes.argmax(dim=1))
    note = f"Only {k} training images vote." if k < NEIGHBOURS and k == len(keys) else ""
    return _scores(val_y, torch.cat(chosen).cpu().numpy(), note)


def linear_probe(
    train_features: Tensor,
    train_labels: Labels,
    val_features: Tensor,
    val_labels: Labels,
    *,
    widths: Sequence[int] | None = None,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> ProbeScores:
    """Score the regression that `fit_regression` fits to the training features, of layers of these `widths`.

    Runs on the CPU. Labels as in `knn_probe`; `groups` are those of the training images.
    """
    train_x, train_y, val_x, val_y = _labelled(train_features, train_labels, val_features, val_labels)
    classes = train_y.shape[1] if train_y.ndim == 2 else int(max(train_y.max(), val_y.max())) + 1
    if groups is not None:
        groups = [groups[i] for i in np.flatnonzero(labelled(train_labels)).tolist()]
    fitted = fit_regression(
        train_x.cpu().numpy(), train_y, classes, widths=widths or [train_x.shape[1]], groups=groups, seed=seed
    )
    logits = val_x.cpu().numpy() @ fitted.weight.T + fitted.bias
    return _scores(val_y, logits >= 0 if train_y.ndim == 2 else logits.argmax(axis=1), "")


def _labelled(
    train_features: Tensor, train_labels: Labels, val_features: Tensor, val_labels: Labels
) -> tuple[Tensor, Labels, Tensor, Labels]:
    """Return fp32 features and labels of both splits without unlabelled images; check that they can be used."""
    kept: list[tuple[Tensor, Labels]] = []
    for split, features, labels in (
        ("training", train_features, train_labels),
        ("validation", val_features, val_labels),
    ):
        assert features.shape[:1] == labels.shape[:1], "one label a feature vector"
        if not features.isfinite().all():
            raise RunError(
                f"An arm gives non-finite features on the {split} split: its training has diverged.",
                hint="Lower the learning rate, or use --precision fp32.",
            )
        known = np.flatnonzero(labelled(labels))
        if len(known) == 0:
            raise DataError(f"The {split} split has no labelled image to probe with.", hint="Leave --probe-every out.")
        kept.append((features.float()[torch.as_tensor(known, device=features.device)], labels[known]))
    (train_x, train_y), (val_x, val_y) = kept
    return train_x, train_y, val_x, val_y


def _scores(labels: Labels, chosen: NDArray[np.generic], note: str) -> ProbeScores:
    if labels.ndim == 2:  # unknown as rightly absent: neither F1 nor whether all the others are right counts that
        known = labels >= 0
        labels, chosen = labels * known, np.logical_and(chosen, known).astype(labels.dtype)
    from sklearn.metrics import accuracy_score, f1_score  # takes a second, and few runs are probed

    macro = f1_score(labels, chosen, average="macro", zero_division=np.nan)
    return ProbeScores(float(accuracy_score(labels, chosen)), float(macro), note)


@dataclass(frozen=True)
class ProbeData:
    """What the probes look at: the session's training images, and the validation images."""

    train_labels: Labels  # of the session's store
    train_groups: tuple[str, ...] | None
    val_store: ImageStore
    val_labels: Labels


def probe_data(
    dataset: Dataset,
    train: ImageStore,
    data: Data,
    *,
    device: torch.device,
    on_progress: Callable[[int, int], None] | None = None,
) -> ProbeData:
    """Decode the validation images; raise `DataError` when there are no labels or no validation images."""
    rows = dataset.rows("val")
    labels = dataset.table.labels
    if labels is None or len(rows) == 0:
        lacking = "labels" if labels is None else "validation images"
        raise DataError(
            f"There are no {lacking} to probe with in {dataset.table.root}.", hint="Leave --probe-every out."
        )
    store = load_images(dataset, rows, data, device=device, on_progress=on_progress)
    seen, groups = dataset.rows("train")[train.kept], dataset.table.groups
    return ProbeData(
        labels[seen], None if groups is None else tuple(groups[i] for i in seen), store, labels[rows[store.kept]]
    )


def probe_arms(s: Session, probes: ProbeData, *, layers: int) -> dict[str, dict[str, dict[str, float | str]]]:
    """Return {arm: {probe: {accuracy, macro_f1, note}}} for the arms as they are now."""
    scores = {}
    for name in s.method.arms:
        pooled, read, widths = _features(s, name, s.store, layers)
        asked_pooled, asked, _ = _features(s, name, probes.val_store, layers)
        labels = probes.train_labels, probes.val_labels
        linear = linear_probe(
            read, labels[0], asked, labels[1], widths=widths, groups=probes.train_groups, seed=s.train.seed
        )
        scores[name] = {
            "knn": asdict(knn_probe(pooled, labels[0], asked_pooled, labels[1])),
            "linear": asdict(linear),
        }
    return scores


@torch.no_grad()
def _features(s: Session, arm: str, store: ImageStore, layers: int) -> tuple[Tensor, Tensor, list[int]]:
    """Return features fp32 [N, D] of all images of a store, without augmentation: pooled, and of the last layers."""
    s.method.eval()
    pooled, read = [], []
    widths: list[int] = []
    for rows in torch.from_numpy(np.arange(len(store.kept))).split(BATCH):
        images = apply_view(store.batch(rows, s.device), unchanged(len(rows)), s.spec)
        with s.compute.autocast():
            pooled.append(s.method.embed(arm, images)[0].float())
            values, widths = arm_features(s.method.arms[arm], images, layers=layers)
        read.append(values)
    s.method.train()
    return torch.cat(pooled), torch.cat(read), widths
