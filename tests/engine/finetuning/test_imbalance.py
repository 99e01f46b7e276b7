from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from cass_cli.engine.finetuning.focal import focal_loss
from cass_cli.engine.finetuning.imbalance import balanced_order, balancing_weights, logit_adjustment

LABELS = torch.tensor([0] * 30 + [1] * 9 + [3])  # 40 images; class 2 has none
COUNTS = torch.bincount(LABELS)
MULTI = torch.tensor([[1, 0, 0]] * 6 + [[1, 1, 0]] * 2 + [[0, 0, 0]] * 4, dtype=torch.uint8)


def test_every_class_is_drawn_equally_often_in_expectation() -> None:
    weights = balancing_weights(LABELS)
    by_class = torch.zeros(4, dtype=torch.float64).index_add(0, LABELS, weights / weights.sum())
    torch.testing.assert_close(by_class, torch.tensor([1, 1, 0, 1], dtype=torch.float64) / 3)
    assert len(weights.unique()) == 3  # alike within a class


def test_the_draws_keep_to_those_shares() -> None:
    drawn = torch.cat([LABELS[balanced_order(LABELS, seed=0, epoch=epoch)] for epoch in range(100)])
    shares = torch.bincount(drawn) / len(drawn)  # 4000 draws: a standard error of 0.0075
    assert shares[[0, 1, 3]].tolist() == pytest.approx([1 / 3] * 3, abs=0.03)


def test_a_multilabel_image_is_drawn_by_the_mean_over_its_classes() -> None:
    one, two, none = 1 / 8, (1 / 8 + 1 / 2) / 2, 1 / 4  # 8 images show class 0, 2 class 1, none class 2, 4 nothing
    expected = torch.tensor([one] * 6 + [two] * 2 + [none] * 4, dtype=torch.float64)
    torch.testing.assert_close(balancing_weights(MULTI), expected)


def test_an_unknown_label_is_not_shown_and_an_image_of_unknown_ones_is_never_drawn() -> None:
    hidden = torch.cat([torch.where(MULTI == 0, -1, MULTI.to(torch.int8))[:8], torch.tensor([[0, -1, -1]] * 4)])
    torch.testing.assert_close(balancing_weights(hidden), balancing_weights(MULTI))
    hidden[-1] = -1
    weights = balancing_weights(hidden)
    assert weights[-1] == 0
    torch.testing.assert_close(weights[:-1], balancing_weights(MULTI[:-1]))


def test_one_class_an_image_is_the_same_as_multilabel() -> None:
    torch.testing.assert_close(balancing_weights(F.one_hot(LABELS).byte()), balancing_weights(LABELS))


@pytest.mark.parametrize("labels", [LABELS, MULTI])
def test_draws_depend_on_labels_seed_and_epoch_alone(labels: torch.Tensor) -> None:
    first = balanced_order(labels, seed=1, epoch=2)
    torch.manual_seed(7)
    assert torch.equal(first, balanced_order(labels, seed=1, epoch=2))
    assert not torch.equal(first, balanced_order(labels, seed=1, epoch=3))
    assert not torch.equal(first, balanced_order(labels, seed=2, epoch=2))
    assert first.shape == (len(labels),)
    assert first.max() < len(labels)


def test_softmax_adjustment_is_the_loss_of_menon() -> None:
    """Eq. 10, right: log(1 + Σ over y' ≠ y of (π_y' / π_y)^τ · exp(z_y' − z_y))."""
    counts, tau = torch.tensor([30, 9, 1]), 1.5
    logits = torch.randn(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(12) % 3
    adjustment = logit_adjustment(counts, 40, form="softmax", tau=tau)
    ours = focal_loss(logits, targets, gamma=0, adjustment=adjustment)
    expected = 0.0
    for z, y in zip(logits.tolist(), targets.tolist(), strict=True):
        others = [c for c in range(3) if c != y]
        expected += math.log1p(sum((counts[c] / counts[y]) ** tau * math.exp(z[c] - z[y]) for c in others)) / 12
    assert float(ours) == pytest.approx(float(expected), rel=1e-6)


def test_sigmoid_adjustment_is_the_same_for_each_decision() -> None:
    """A decision is a softmax between the class and its absence, whose logit is 0."""
    counts, tau = torch.tensor([30, 9, 1]), 0.7
    logits = torch.randn(10, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    targets = torch.randint(2, (10, 3), generator=torch.Generator().manual_seed(2))
    ours = focal_loss(logits, targets, adjustment=logit_adjustment(counts, 40, form="sigmoid", tau=tau))
    decisions = []
    for c in range(3):
        pair = torch.stack([torch.zeros(10, dtype=torch.float64), logits[:, c]], dim=1)
        both = torch.tensor([40 - counts[c], counts[c]])
        shift = logit_adjustment(both, 40, form="softmax", tau=tau)
        decisions.append(focal_loss(pair, targets[:, c], adjustment=shift))
    torch.testing.assert_close(ours, torch.stack(decisions).mean(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("form", ["softmax", "sigmoid"])
def test_tau_of_zero_changes_no_gradient(form: str) -> None:
    logits = torch.randn(40, 4, generator=torch.Generator().manual_seed(3)).requires_grad_()
    nothing, one = (logit_adjustment(COUNTS, 40, form=form, tau=tau) for tau in (0.0, 1.0))

    def gradient(adjustment: torch.Tensor | None) -> torch.Tensor:
        return torch.autograd.grad(focal_loss(logits, LABELS, form=form, adjustment=adjustment), logits)[0]

    assert torch.equal(gradient(nothing), gradient(None))
    assert not torch.allclose(gradient(one), gradient(None))


def test_what_has_no_finite_logarithm_is_not_adjusted() -> None:
    softmax = logit_adjustment(COUNTS, 40, form="softmax", tau=2.0)
    assert softmax.tolist() == pytest.approx([2 * math.log(n / 40) if n else 0 for n in (30, 9, 0, 1)])
    always = logit_adjustment(torch.tensor([40, 10, 0]), 40, form="sigmoid", tau=2.0)
    assert always.tolist() == pytest.approx([0, 2 * math.log(1 / 3), 0])
