"""One seed decides everything: each use of chance draws from its own stream, as a pure function of where it is.

Nothing depends on a generator's history, so a resumed run draws what an uninterrupted one would have, and
every process of a distributed run can draw for the whole batch.
"""

from __future__ import annotations

import numpy as np
import torch

# Names of the streams; the order is part of the format, append only.
_STREAMS = ("arms", "order", "views", "layers", "monitor", "probe", "finetune", "heads", "corruptions")


def stream_seed(seed: int, stream: str, *position: int) -> int:
    """Return a 63-bit seed for `stream` at `position` (an epoch, a step, a rank)."""
    words = np.random.SeedSequence([seed, _STREAMS.index(stream), *position]).generate_state(2)
    return (int(words[0]) << 32 | int(words[1])) >> 1


def generator(seed: int, stream: str, *position: int) -> torch.Generator:
    """Return a CPU generator for `stream` at `position`."""
    return torch.Generator().manual_seed(stream_seed(seed, stream, *position))


def trial_seed(seed: int) -> int:
    """Return the seed of all that a fine-tuning draws: label subset, random body, heads, order, views, dropout."""
    return stream_seed(seed, "finetune")
