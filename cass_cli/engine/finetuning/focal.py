"""Focal loss (Lin et al. 2017, "Focal Loss for Dense Object Detection") and class weights for it.

Softmax form, for one class out of C (Eq. 5 there with p_t the softmax probability of the true class y)

    loss_i = α · w_y · (1 − p_y)^γ · (−log p_y)

Sigmoid form, C yes/no decisions (one against all when labels are class indices)

    loss_ic = α · w_c · (1 − p_t)^γ · (−log p_t),    p_t = σ(z_ic) if the label is 1, else 1 − σ(z_ic)

The paper (Sec. C.6) sets α = 1 and γ = 2. α scales every term alike, as in its line of work;
torchvision's α, which weighs positives by α and negatives by 1 − α, would drop all negatives at α = 1.

Everything is computed from log p_t and log(1 − p_t), each exact on its own, so that neither saturated
logits nor a fractional γ gives an infinite gradient.

Shapes: B images, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cass_cli.errors import DataError

Form = Literal["softmax", "sigmoid"]
WeightScheme = Literal["paper", "inverse", "effective", "none"]

PAPER_RANGE = (0.2, 1.0)  # what "minimum-maximum normalized class distribution" is scaled to
EFFECTIVE_BETA = 0.9999  # Cui et al. 2019, the value of their large runs


def focal_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    form: Form = "softmax",
    alpha: float = 1.0,
    gamma: float = 2.0,
    class_weights: Tensor | None = None,
    adjustment: Tensor | None = None,
    label_mask: Tensor | None = None,
) -> Tensor:
    """Return the scalar focal loss of a batch, in fp32 (fp64 for fp64 logits).

    logits         [B, C] of any float type.
    targets        int64 [B] class indices; or [B, C] of 0/1 (int8, uint8, bool or float), which is multi-label and
                   therefore takes the sigmoid form whatever `form` says; −1 is unknown and does not count.
    class_weights  [C], or None for ones.
    adjustment     [C], added to the logits (`imbalance.logit_adjustment`), or None.
    label_mask     bool [B], or [B, C] in the sigmoid form: the labels that count; None for all.
                   With none that counts the loss is 0, and so is its gradient.

    The mean is the one of PyTorch's losses, so that with α = 1 and γ = 0 this equals
    `F.cross_entropy(logits, targets, weight=w)` in the softmax form (the sum over images divided by the sum
    of their w_y) and `F.binary_cross_entropy_with_logits(logits, onehot, weight=w)` in the sigmoid form
    (the sum over decisions that count divided by their number).
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if class_weights is not None:
        class_weights = class_weights.to(logits)
    if adjustment is not None:
        logits = logits + adjustment.to(logits)
    if targets.ndim == 2:
        known = targets >= 0
        label_mask = known if label_mask is None else known & label_mask.reshape(len(known), -1)
        return alpha * _sigmoid_focal(logits, targets.to(logits).clamp_min(0), gamma, class_weights, label_mask)
    if label_mask is not None:
        targets = targets.where(label_mask, 0)  # an unlabelled image may carry −1, which indexes nothing
    if form == "sigmoid":
        onehot = F.one_hot(targets, logits.shape[1]).to(logits)  # [B, C]
        return alpha * _sigmoid_focal(logits, onehot, gamma, class_weights, label_mask)
    return alpha * _softmax_focal(logits, targets, gamma, class_weights, label_mask)


def _softmax_focal(
    logits: Tensor, targets: Tensor, gamma: float, class_weights: Tensor | None, label_mask: Tensor | None
) -> Tensor:
    index = targets.unsqueeze(1)  # [B, 1]
    log_p = F.log_softmax(logits, dim=1)  # [B, C]
    # 1 − p_y is the sum of the other probabilities: no cancellation when p_y is nearly 1.
    log_rest = log_p.scatter(1, index, -torch.inf).logsumexp(dim=1)  # [B]
    loss = (gamma * log_rest).exp() * -log_p.gather(1, index).squeeze(1)  # [B]
    weight = torch.ones_like(loss) if class_weights is None else class_weights[targets]
    if label_mask is not None:
        weight = weight * label_mask
    return (weight * loss).sum() / weight.sum().clamp_min(torch.finfo(loss.dtype).tiny)


def _sigmoid_focal(
    logits: Tensor, onehot: Tensor, gamma: float, class_weights: Tensor | None, label_mask: Tensor | None
) -> Tensor:
    signed = logits * (2 * onehot - 1)  # [B, C]: positive where the decision is right
    loss = (gamma * F.logsigmoid(-signed)).exp() * -F.logsigmoid(signed)  # [B, C]
    if class_weights is not None:
        loss = loss * class_weights
    if label_mask is None:
        return loss.mean()
    mask = label_mask.reshape(len(loss), -1).expand_as(loss)
    # The mean over what counts. Where everything does, both factors are 1 and this is `loss.mean()` to the last bit.
    return (loss * mask).mean() * (mask.numel() / mask.sum(dtype=loss.dtype).clamp_min(1))


def class_weights(counts: Tensor | Sequence[int], scheme: WeightScheme = "paper") -> Tensor:
    """Return fp32 weights [C] from the number of training labels of each class.

    paper      min–max of the counts scaled to [0.2, 1] (Sec. C.6 to the letter). The commonest class gets 1
               and the rarest 0.2, so this strengthens an imbalance; equal counts all get 1.
    inverse    1/n.
    effective  1/(1 − β^n) with β = 0.9999 (Cui et al. 2019, "Class-Balanced Loss"): like 1/n for few images.
    none       ones.

    `inverse` and `effective` have mean 1 over the classes that occur; a class without any label gets 1,
    as there is nothing to weigh it by.
    """
    n = torch.as_tensor(counts, dtype=torch.float64)  # fp64: β^n is near 1 for a rare class
    if n.numel() == 0 or n.sum() <= 0:
        raise DataError("No class has a label in the training split, so there are no class weights.")
    if scheme == "none":
        return torch.ones(n.numel())
    if scheme == "paper":
        low, high = PAPER_RANGE
        span = n.max() - n.min()
        return (low + (high - low) * (n - n.min()) / span).float() if span > 0 else torch.ones(n.numel())
    seen = n > 0
    weights = torch.ones_like(n)
    weights[seen] = 1 / n[seen] if scheme == "inverse" else 1 / (1 - EFFECTIVE_BETA ** n[seen])
    weights[seen] /= weights[seen].mean()
    return weights.float()
