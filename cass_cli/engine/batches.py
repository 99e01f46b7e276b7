"""Which images make up which batch: a pure function of the seed and the epoch.

Legend: N images, B batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from cass_cli.seeds import generator

T = TypeVar("T")
R = TypeVar("R")


def batch_bounds(images: int, batch_size: int, *, smallest: int = 2) -> list[tuple[int, int]]:
    """Return the [start, stop) bounds of one epoch's batches; together they cover every image.

    All hold `batch_size` images but the last, which holds what is left. A last batch of fewer than
    `smallest` images (batch norm needs two; a distributed run, two a process) joins the one before it, so
    no image is dropped. A set smaller than a batch is one batch.
    """
    starts = list(range(0, images, batch_size))
    if len(starts) > 1 and images - starts[-1] < smallest:
        starts.pop()
    return [(start, stop) for start, stop in zip(starts, [*starts[1:], images], strict=True)]


def epoch_order(images: int, *, seed: int, epoch: int) -> Tensor:
    """Return a permutation int64 [N] of the images."""
    return torch.randperm(images, generator=generator(seed, "order", epoch))


def prefetch(fetch: Callable[[T], R], items: Iterable[T], *, device: torch.device, ahead: int = 1) -> Iterator[R]:
    """Yield `fetch(item)` for each item, with `ahead` of them made in a thread while the caller works.

    That thread computes by itself. With a team of threads of its own, OpenMP would count more threads than cores, and
    let the caller's sleep between any two operations: 4,000 times a step, which costs a tenth of a CPU's time.

    On MPS nothing is made ahead: two threads that use it at once end the process (pytorch/pytorch#197805).
    """
    if device.type == "mps":
        yield from map(fetch, items)
        return
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="cass-prefetch") as pool:
        pool.submit(_compute_alone).result()
        torch.set_num_threads(threads)  # of this thread, and of those that come later
        waiting = []
        for item in items:
            waiting.append(pool.submit(fetch, item))
            if len(waiting) > ahead:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()


def _compute_alone() -> None:
    """Let this thread compute without helpers."""
    torch.get_num_threads()  # a thread's first use of torch sets its number, and would undo the next line
    torch.set_num_threads(1)
