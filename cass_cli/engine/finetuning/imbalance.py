"""Uneven classes, met otherwise than by class weights: balanced draws, and logit adjustment.

Both aim, as inverse class weights do, at the answers of a classifier for which all classes are equally frequent.

Legend: n labelled images, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cass_cli.engine.finetuning.focal import Form
from cass_cli.seeds import generator


def balanced_order(labels: Tensor, *, seed: int, epoch: int) -> Tensor:
    """Return n draws int64 [n] of the images, with replacement and by their weights; on the CPU, as `labels`."""
    draws = generator(seed, "order", epoch)
    return torch.multinomial(balancing_weights(labels), len(labels), replacement=True, generator=draws)


def balancing_weights(labels: Tensor) -> Tensor:
    """Return what each image is drawn by, fp64 [n], for labels int64 [n] or int8 [n, C].

    1/n_c for an image of class c, so that every class is drawn equally often in expectation. Multi-label: the mean of
    1/n_c over the classes that the image shows, where to show none is a class of its own. Classes that are shown
    together are drawn together, so the draws are equal only as far as classes share no images. An unknown label is
    not shown; an image of which nothing is known is never drawn.
    """
    if labels.ndim == 1:
        return 1 / torch.bincount(labels).double()[labels]
    shows, known = labels == 1, labels >= 0
    none = known.any(dim=1, keepdim=True) & ~shows.any(dim=1, keepdim=True)
    shown = torch.cat([shows, none], dim=1).double()  # [n, C + 1]
    return (shown / shown.sum(dim=0).clamp_min(1)).sum(dim=1) / shown.sum(dim=1).clamp_min(1)


def logit_adjustment(counts: Tensor, images: int | Tensor, *, form: Form, tau: float) -> Tensor:
    """Return what the loss adds to the logits, fp32 [C], given the labels [C] that each class has on `images` images.

    `images` is one number or [C]: those of which it is known whether they show the class.

    With π_c = n_c/n, the share of the images that show class c:

        softmax   τ · log π_c                 Menon et al. 2021, "Long-tail learning via logit adjustment" (Eq. 10)
        sigmoid   τ · log(π_c / (1 − π_c))    the same for C yes/no decisions, each between π_c and 1 − π_c

    0 where that is infinite: for a class without any label, and in the sigmoid form for one that all images show.
    """
    share = counts.double() / images
    log_prior = share.logit() if form == "sigmoid" else share.log()
    return (tau * log_prior.where(log_prior.isfinite(), 0)).float()
