"""No image is judged by a fit that has seen it or its group; flipped labels are found in features of known classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cass_cli.engine.regression import fit_regression
from cass_cli.engine.reviewing import out_of_fold as room
from cass_cli.engine.reviewing.out_of_fold import out_of_fold
from cass_cli.scores.label_noise import label_noise


def judged_by(labels: Any, features: Any, groups: Any = None, classes: int = 3) -> tuple[Any, Any]:
    return out_of_fold(
        features,
        labels,
        classes,
        widths=[features.shape[1]],
        groups=groups,
        seed=0,
        on_progress=lambda _done, _total: None,
    )


def test_groups_are_held_out_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The features tell the row, so a fit shows which rows it was given."""
    rng = np.random.default_rng(0)
    labels, features = np.arange(60) % 3, rng.normal(size=(60, 8)).astype(np.float32)
    features[:, 0] = np.arange(60)
    groups = [f"p{i // 4}" for i in range(60)]
    seen: list[set[int]] = []

    def spied(given: Any, *rest: Any, **how: Any) -> Any:
        seen.append(set(given[:, 0].astype(int)))
        assert how["groups"] == [groups[i] for i in given[:, 0].astype(int)]
        return fit_regression(given, *rest, **how)

    monkeypatch.setattr(room, "fit_regression", spied)
    p, judged = judged_by(labels, features, groups)
    held = [set(range(60)) - rows for rows in seen]
    assert sorted(row for rows in held for row in rows) == list(range(60)), "each once"
    for rows, without in zip(seen, held, strict=True):
        assert not {groups[i] for i in rows} & {groups[i] for i in without}
    assert judged.all()
    np.testing.assert_allclose(p.sum(axis=1), 1)


def test_flipped_labels_are_found() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 150)
    features = (rng.normal(size=(150, 6)) + 4 * np.eye(6)[true]).astype(np.float32)
    labels = true.copy()
    flipped = rng.choice(150, 12, replace=False)
    labels[flipped] = (labels[flipped] + 1) % 3
    p, _ = judged_by(labels, features)
    rows = {s.row for s in label_noise(labels, p).suspects}
    assert len(rows & {*flipped}) >= 8
    assert len(rows - {*flipped}) <= 3


def test_a_class_of_one_image_is_not_judged() -> None:
    rng = np.random.default_rng(0)
    labels, features = np.r_[np.arange(40) % 2, 2], rng.normal(size=(41, 5)).astype(np.float32)
    _, judged = judged_by(labels, features)
    assert judged.tolist() == [True] * 40 + [False]


def test_of_several_labels_what_is_unknown_or_shown_once_is_not_judged() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((50, 3)) < 0.4).astype(np.int8)
    labels[:, 2] = 0
    labels[7, 2] = 1
    labels[3:6, 0] = -1
    p, judged = judged_by(labels, rng.normal(size=(50, 5)).astype(np.float32))
    assert not judged[3:6, 0].any() and judged[:, 1].all()
    assert not judged[7, 2]
    assert ((p >= 0) & (p <= 1)).all()


def test_where_a_class_is_all_there_is_none_is_judged() -> None:
    _, judged = judged_by(np.zeros(10, dtype=np.int64), np.ones((10, 4), dtype=np.float32), classes=1)
    assert not judged.any()
