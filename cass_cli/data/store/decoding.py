"""Many images → uint8 planes of one size, decoded by threads and handed over in the order of the table."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cass_cli.config.schema import FitName
from cass_cli.data.decode.facts import DecodeError
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.samples import read_decoded
from cass_cli.errors import DataError
from cass_cli.words import shown

AHEAD = 4  # images a thread may be ahead of the one that is waited for


@dataclass(frozen=True)
class BadImage:
    """An image that could not be read: its row in the table, its name, and why in a few words."""

    index: int
    name: str
    reason: str


@dataclass(frozen=True)
class Planes:
    """An image as the networks take it, and whether its file holds further pages that were left out."""

    pixels: NDArray[np.uint8]  # [3, S, S], contiguous
    several_pages: bool


@dataclass(frozen=True)
class DecodeJob:
    """What to decode, and how."""

    table: SampleTable
    size: int  # S
    fit: FitName
    workers: int  # threads; Pillow decodes and resizes without holding Python's lock
    on_progress: Callable[[int, int], None]

    @property
    def bytes(self) -> int:
        """Return the size of all images, decoded."""
        return len(self.table) * 3 * self.size**2

    def decode(self, row: int) -> Planes | BadImage:
        """Decode one image, brought to S × S."""
        try:
            image = read_decoded(self.table, row, size=self.size, fit=self.fit)
        except DecodeError as error:
            return BadImage(row, self.table.names[row], error.reason)
        return Planes(np.ascontiguousarray(image.pixels.transpose(2, 0, 1)), image.several_pages)

    def results(self, rows: Sequence[int]) -> Iterator[tuple[int, Planes | BadImage]]:
        """Yield (row, image) in the order of `rows`, a few decoded ahead."""
        waiting: deque[tuple[int, Future[Planes | BadImage]]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="cass-decode")
        try:
            for row in rows:
                waiting.append((row, pool.submit(self.decode, row)))
                if len(waiting) > AHEAD * self.workers:
                    done, future = waiting.popleft()
                    yield done, future.result()
            for done, future in waiting:
                yield done, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def usable_cores() -> int:
    """Return the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def bad_image_error(bad: Iterable[BadImage], total: int) -> DataError:
    """Return the error that lists the first ten unreadable images and counts the rest."""
    found = list(bad)
    lines = [f"  {shown(image.name)}: {image.reason}" for image in found[:10]]
    more = [f"  and {len(found) - 10} more"] if len(found) > 10 else []
    return DataError(
        "\n".join([f"{len(found)} of {total} images cannot be read:", *lines, *more]),
        hint="Mend or remove them, or train without them: --bad-images skip, of pretrain and finetune.",
    )
