"""kNN and linear probes of both arms while they pretrain: labels are looked at, never learned from.

Features of the training images fit the probes, those of the validation images score them (`engine.probe`);
the arms see neither label, and no test image is decoded.

Legend: N images, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cass_cli.config.schema import Data
from cass_cli.data.augment import apply_view, unchanged
from cass_cli.data.cache import ImageStore
from cass_cli.engine.device import autocast
from cass_cli.engine.prepare import Dataset, load_images
from cass_cli.engine.probe import ProbeScores, knn_probe, linear_probe
from cass_cli.engine.session import Session
from cass_cli.engine.weighted import Labels
from cass_cli.errors import DataError

BATCH = 64
PROBES: dict[str, Callable[[Tensor, Labels, Tensor, Labels], ProbeScores]] = {
    "knn": knn_probe,
    "linear": linear_probe,
}


@dataclass(frozen=True)
class ProbeData:
    """What the probes look at: the session's training images, and the validation images."""

    train_labels: Labels  # of the session's store
    val_store: ImageStore
    val_labels: Labels


def probe_data(
    dataset: Dataset,
    train: ImageStore,
    data: Data,
    *,
    device: torch.device,
    cache_dir: Path | None = None,
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
    store = load_images(dataset, rows, data, device=device, cache_dir=cache_dir, on_progress=on_progress)
    return ProbeData(labels[dataset.rows("train")[train.kept]], store, labels[rows[store.kept]])


def probe_arms(s: Session, probes: ProbeData) -> dict[str, dict[str, dict[str, float | str]]]:
    """Return {arm: {probe: {accuracy, macro_f1, note}}} for the arms as they are now."""
    scores = {}
    for name in s.method.arms:
        seen = _features(s, name, s.store)
        asked = _features(s, name, probes.val_store)
        scores[name] = {
            probe: asdict(measure(seen, probes.train_labels, asked, probes.val_labels))
            for probe, measure in PROBES.items()
        }
    return scores


@torch.no_grad()
def _features(s: Session, arm: str, store: ImageStore) -> Tensor:
    """Return the pooled features fp32 [N, D] of all images of a store, without augmentation."""
    s.method.eval()
    parts = []
    for rows in torch.from_numpy(np.arange(len(store.kept))).split(BATCH):
        images = apply_view(store.batch(rows, s.device), unchanged(len(rows)), mean=s.mean, std=s.std)
        with autocast(s.precision, s.device):
            parts.append(s.method.embed(arm, images)[0].float())
    s.method.train()
    return torch.cat(parts)
