from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from cass_cli.engine.finetuning.focal import class_weights, focal_loss
from cass_cli.errors import DataError

WEIGHTS = torch.tensor([0.2, 1.0, 0.55, 3.0])


def batch(seed: int = 0, images: int = 32, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return logits [B, C], class indices [B] and multi-label 0/1 targets [B, C]."""
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(images, classes, generator=g) * 3
    index = torch.randint(classes, (images,), generator=g)
    return logits, index, torch.randint(2, (images, classes), generator=g).to(torch.uint8)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_softmax_at_gamma_zero_is_torch_cross_entropy(weights: torch.Tensor | None) -> None:
    logits, index, _ = batch()
    ours = focal_loss(logits, index, gamma=0.0, class_weights=weights)
    torch.testing.assert_close(ours, F.cross_entropy(logits, index, weight=weights), rtol=1e-6, atol=0)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_sigmoid_at_gamma_zero_is_torch_binary_cross_entropy(weights: torch.Tensor | None) -> None:
    logits, index, multi = batch()
    one_vs_all = focal_loss(logits, index, form="sigmoid", gamma=0.0, class_weights=weights)
    onehot = F.one_hot(index, 4).float()
    expected = F.binary_cross_entropy_with_logits(logits, onehot, weight=weights)
    torch.testing.assert_close(one_vs_all, expected, rtol=1e-6, atol=0)
    expected = F.binary_cross_entropy_with_logits(logits, multi.float(), weight=weights)
    torch.testing.assert_close(focal_loss(logits, multi, gamma=0.0, class_weights=weights), expected, rtol=1e-6, atol=0)


def test_softmax_is_the_textbook_formula() -> None:
    logits, index, _ = batch(1)
    p = logits.double().softmax(1)[torch.arange(len(index)), index]
    w = WEIGHTS.double()[index]
    expected = 0.25 * (w * (1 - p) ** 2 * -p.log()).sum() / w.sum()
    ours = focal_loss(logits.double(), index, alpha=0.25, gamma=2.0, class_weights=WEIGHTS)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=0)


def test_two_class_softmax_equals_sigmoid_of_the_logit_difference() -> None:
    logits, index, _ = batch(2, classes=2)
    difference = (logits[:, 1] - logits[:, 0]).unsqueeze(1)
    ours = focal_loss(logits, index)
    torch.testing.assert_close(ours, focal_loss(difference, index.unsqueeze(1)), rtol=1e-5, atol=0)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_sigmoid_equals_torchvision(gamma: float) -> None:
    logits, _, multi = batch(3)
    # torchvision's α < 0 switches its positive/negative weighting off; α = ½ weighs both sides by ½.
    plain = sigmoid_focal_loss(logits, multi.float(), alpha=-1, gamma=gamma, reduction="mean")
    torch.testing.assert_close(focal_loss(logits, multi, gamma=gamma), plain, rtol=1e-5, atol=1e-8)
    half = sigmoid_focal_loss(logits, multi.float(), alpha=0.5, gamma=gamma, reduction="mean")
    torch.testing.assert_close(focal_loss(logits, multi, alpha=0.5, gamma=gamma), half, rtol=1e-5, atol=1e-8)


def test_multilabel_takes_the_sigmoid_form_and_any_number_type() -> None:
    logits, _, multi = batch(4)
    expected = focal_loss(logits, multi.float(), form="sigmoid")
    for targets in (multi, multi.bool(), multi.float(), multi.double()):
        assert focal_loss(logits, targets, form="softmax") == expected


def test_gradient_is_right() -> None:
    logits, index, multi = batch(5, images=6)
    logits = logits.double().requires_grad_()
    weights = WEIGHTS.double()
    for targets, form in ((index, "softmax"), (index, "sigmoid"), (multi, "sigmoid")):
        torch.autograd.gradcheck(
            lambda z, t=targets, f=form: focal_loss(z, t, form=f, gamma=1.5, class_weights=weights), logits
        )


@pytest.mark.parametrize("form", ["softmax", "sigmoid"])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("size", [80.0, 1e4, 1e30])
def test_loss_and_gradient_are_finite_at_extreme_logits(form: str, gamma: float, size: float) -> None:
    signs = torch.tensor([[1.0, -1.0, -1.0], [-1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    logits = (signs * size).requires_grad_()
    loss = focal_loss(logits, torch.tensor([0, 0, 2]), form=form, gamma=gamma)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    assert loss > size / 20  # the second image is wrong by 2 · size, and that must be felt


def test_an_adjustment_is_the_loss_of_logits_that_are_shifted() -> None:
    logits, index, multi = batch(9)
    shift = torch.tensor([-0.1, -2.0, 0.0, -5.0])
    for targets, form in ((index, "softmax"), (index, "sigmoid"), (multi, "sigmoid")):
        adjusted = focal_loss(logits, targets, form=form, class_weights=WEIGHTS, adjustment=shift)
        assert adjusted == focal_loss(logits + shift, targets, form=form, class_weights=WEIGHTS)
        assert adjusted != focal_loss(logits, targets, form=form, class_weights=WEIGHTS)


def test_bf16_is_computed_in_fp32() -> None:
    logits, index, multi = batch(6)
    half = logits.bfloat16()
    for targets in (index, multi):
        loss = focal_loss(half, targets)
        assert loss.dtype == torch.float32
        assert loss == focal_loss(half.float(), targets)


def test_masked_labels_count_for_nothing() -> None:
    logits, index, multi = batch(7)
    keep = torch.arange(len(index)) % 3 > 0
    unlabelled = index.where(keep, -1)
    for form in ("softmax", "sigmoid"):
        masked = focal_loss(logits, unlabelled, form=form, class_weights=WEIGHTS, label_mask=keep)
        alone = focal_loss(logits[keep], index[keep], form=form, class_weights=WEIGHTS)
        torch.testing.assert_close(masked, alone)
    entries = torch.rand(multi.shape, generator=torch.Generator().manual_seed(8)) > 0.4
    flipped = torch.where(entries, multi, 1 - multi)  # the labels that do not count are wrong
    assert focal_loss(logits, flipped, label_mask=entries) == focal_loss(logits, multi, label_mask=entries)
    nothing = focal_loss(logits.requires_grad_(), unlabelled, label_mask=torch.zeros_like(keep))
    nothing.backward()
    assert nothing == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_unknown_labels_count_for_nothing(weights: torch.Tensor | None) -> None:
    """The mean over known labels, so that the gradient of what is unknown is zero and the others' is not diluted."""
    logits, _, multi = batch(9)
    logits = logits.double().requires_grad_()
    known = torch.rand(multi.shape, generator=torch.Generator().manual_seed(2)) > 0.4
    known[3] = False  # an image of which nothing is known
    hidden = multi.to(torch.int8).where(known, -1)
    loss = focal_loss(logits, hidden, gamma=0.0, class_weights=weights)
    expected = F.binary_cross_entropy_with_logits(
        logits[known], multi[known].double(), weight=None if weights is None else weights.expand_as(logits)[known]
    )
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, logits)
    (wanted,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(gradient, wanted)
    assert (gradient[~known] == 0).all()
    assert focal_loss(logits, hidden, label_mask=known) == focal_loss(logits, multi, label_mask=known)
    nothing = focal_loss(logits, torch.full_like(hidden, -1))
    assert nothing == 0
    assert (torch.autograd.grad(nothing, logits)[0] == 0).all()


def test_where_all_labels_are_known_the_loss_is_the_plain_mean_to_the_last_bit() -> None:
    logits, _, multi = batch(3, images=37)
    signed = logits * (2 * multi.float() - 1)
    plain = ((2 * F.logsigmoid(-signed)).exp() * -F.logsigmoid(signed)).mean()
    assert focal_loss(logits, multi) == plain
    assert focal_loss(logits, multi.to(torch.int8)) == plain


def test_easy_images_count_less_than_in_cross_entropy() -> None:
    logits = torch.tensor([[4.0, 0.0], [0.5, 0.0]])
    easy, hard = (focal_loss(row.unsqueeze(0), torch.tensor([0])) for row in logits)
    assert easy / hard < F.cross_entropy(logits[:1], torch.tensor([0])) / F.cross_entropy(logits[1:], torch.tensor([0]))


def test_paper_weights_follow_the_counts() -> None:
    weights = class_weights([826, 822, 395, 827], "paper")
    assert weights.argmax() == 3
    assert weights.max() == 1.0
    torch.testing.assert_close(weights.min(), torch.tensor(0.2))
    torch.testing.assert_close(weights[0], torch.tensor(0.2 + 0.8 * (826 - 395) / (827 - 395)))


def test_inverse_and_effective_weights() -> None:
    counts = torch.tensor([1000, 100, 10])
    inverse, effective = class_weights(counts, "inverse"), class_weights(counts, "effective")
    for weights in (inverse, effective):
        torch.testing.assert_close(weights.mean(), torch.tensor(1.0))
        assert weights.argsort().tolist() == [0, 1, 2]
    torch.testing.assert_close(inverse * counts, (inverse * counts)[:1].expand(3))
    n = counts.double()
    formula = (1 - 0.9999) / (1 - 0.9999**n)
    torch.testing.assert_close(effective, (formula / formula.mean()).float())
    many = class_weights([10_000_000, 20_000_000], "effective")  # both far beyond 1/(1 − β): saturated
    torch.testing.assert_close(many, torch.ones(2))


@pytest.mark.parametrize("scheme", ["paper", "inverse", "effective", "none"])
def test_equal_counts_give_ones(scheme: str) -> None:
    torch.testing.assert_close(class_weights([7, 7, 7], scheme), torch.ones(3))


@pytest.mark.parametrize("scheme", ["inverse", "effective"])
def test_a_class_without_labels_neither_counts_nor_breaks(scheme: str) -> None:
    weights = class_weights([40, 0, 10], scheme)
    assert weights[1] == 1
    torch.testing.assert_close(weights[[0, 2]], class_weights([40, 10], scheme))


def test_no_labels_at_all_is_said() -> None:
    with pytest.raises(DataError, match="No class has a label"):
        class_weights([0, 0])
