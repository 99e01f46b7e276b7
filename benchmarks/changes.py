"""What the levers of levers.py change: a session that was built, or a switch of the process."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable

import torch
from timm.layers.config import set_fused_attn
from torch import Tensor, nn

from cass_cli.engine.device import KEPT, MMAP_THRESHOLD, TRIM_THRESHOLD
from cass_cli.engine.optimisers import build_optimiser
from cass_cli.engine.pretraining.session import Session
from cass_cli.methods.cass import cass_loss

Change = Callable[[Session], None]

USUAL = {TRIM_THRESHOLD: 64 * 2**20, MMAP_THRESHOLD: 32 * 2**20}
"""What glibc arrives at by itself when large blocks come and go."""


def memory_format(wanted: torch.memory_format) -> Change:
    """Lay out the CNN's weights, and so what it computes, in another order."""

    def change(s: Session) -> None:
        s.method.arms["cnn"].to(memory_format=wanted)

    return change


def adam(**how: bool) -> Change:
    """Let Adam go about it in another way; what isn't named is left off."""

    def change(s: Session) -> None:
        for arm, learner in s.method.learners.items():
            optimiser = build_optimiser("adam", learner, s.optim)
            for group in (optimiser.defaults, *optimiser.param_groups):
                group.update({"foreach": None, "fused": None, **how})
            s.optimisers[arm] = optimiser

    return change


def build_attention(fused: bool) -> None:
    """Let timm build attention upon SDPA, or as products and a softmax."""
    set_fused_attn(enable=fused)


def keep_freed_memory(*, keep: bool = True) -> None:
    """Let glibc hold on to freed memory as a run of ours does, or hand it back as by default."""
    if platform.libc_ver()[0] == "glibc":
        c_library = ctypes.CDLL(None)
        for what, value in (KEPT if keep else USUAL).items():
            c_library.mallopt(what, value)


def stream_each_arm(s: Session) -> None:
    """Run the second arm beside the first; the backward pass follows each on its own stream."""
    cnn, vit = s.method.arms.values()
    side = torch.cuda.Stream(s.device)

    def loss(view: Tensor, *, progress: float) -> Tensor:  # noqa: ARG001 - called as the method is
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            t = vit(view)
        r = cnn(view)
        view.record_stream(side)
        torch.cuda.current_stream().wait_stream(side)
        t.record_stream(torch.cuda.current_stream())
        return cass_loss(r, t)

    s.parallel = loss


def graph_each_arm(s: Session) -> None:
    """Replace the launches of each arm's kernels, forward and backward, by one of a graph."""
    sample = torch.zeros(s.train.batch_size, 3, *s.store.images.shape[2:], device=s.device)
    arms: tuple[nn.Module, ...] = tuple(s.method.arms.values())
    with torch.autocast("cuda", torch.bfloat16, enabled=s.compute.precision == "bf16", cache_enabled=False):
        torch.cuda.make_graphed_callables(arms, tuple((sample,) for _ in arms))
