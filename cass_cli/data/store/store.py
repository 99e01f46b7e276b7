"""Images decoded once at the training size, S × S, and kept as uint8: in memory, in a file, or on the device.

Where `auto` keeps them, 3·S² bytes each: on a CUDA device if they take at most half of its free memory; else in
memory if they take at most half of what is available (every process of a run keeps its own); else in a file in the
cache directory, which later runs find again. `off` keeps nothing and decodes every batch afresh.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cass_cli.config.schema import FitName
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.space import SHARE, available_memory, fits_in_memory
from cass_cli.data.store.build import CacheFolderError, ReadRows, cached_file, existing_file, state_of
from cass_cli.data.store.decoding import BadImage, DecodeJob, bad_image_error, usable_cores
from cass_cli.data.store.file import BAD, SEVERAL_PAGES
from cass_cli.errors import DataError
from cass_cli.words import shown

CPU = torch.device("cpu")
HELD_IN_MEMORY = "The images are held in memory."  # after why they are in no file
UPLOAD_BYTES = 64 * 2**20  # copied to the device at a time


@dataclass(frozen=True)
class ImageStore:
    """uint8 images of one size. Row i is image `kept[i]` of the table that it was built from."""

    images: Tensor  # uint8 [N, 3, S, S], contiguous; file-backed when `where` is "disk", N = 0 when it is "off"
    where: str  # "ram" | "disk" | "device" | "off"
    kept: NDArray[np.int64]  # [N], ascending: all rows of the table unless unreadable images were skipped
    bad: tuple[BadImage, ...] = ()
    notes: tuple[str, ...] = ()  # what the user should know of how they are kept: one plain sentence each
    path: Path | None = None  # the cache file
    read: ReadRows | None = field(default=None, repr=False)  # how batches are had when not from `images`

    def __len__(self) -> int:
        return len(self.kept)

    def batch(self, rows: Tensor | NDArray[np.int64], device: torch.device) -> Tensor:
        """Return images `rows` of the store, uint8 [B, 3, S, S], on `device`. Safe to call in a thread.

        Host batches for a CUDA device are pinned and copied without waiting; nothing here synchronises, if `rows`
        lies on the host. With `off`, raises `DataError` when a file has gone bad since the store was built.
        """
        index = torch.as_tensor(rows, dtype=torch.int64)
        if self.where == "device":
            return self.images.index_select(0, index.to(self.images.device, non_blocking=True)).to(device)
        pinned = device.type == "cuda"
        host = torch.empty((len(index), *self.images.shape[1:]), dtype=torch.uint8, pin_memory=pinned)
        if self.read is None:
            torch.index_select(self.images, 0, index.cpu(), out=host)
        else:
            self.read(index.cpu().numpy(), host.numpy())
        return host.to(device, non_blocking=pinned)


def build_store(
    table: SampleTable,
    *,
    size: int,
    fit: FitName = "squash",
    mode: Literal["auto", "ram", "disk", "device", "off"] = "auto",
    device: torch.device = CPU,
    bad_images: Literal["stop", "skip"] = "stop",
    workers: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> ImageStore:
    """Decode every image of `table`, brought to `size` × `size` by `fit`, with `workers` threads (0: one a core).

    What comes out does not depend on `workers`. Every image is read before any is trusted, in `off` mode too: unless
    `bad_images` is "skip", unreadable ones raise one `DataError` that names them. A full disk raises `DataError`.
    `on_progress(done, total)` is called in the caller's thread.
    """
    job = DecodeJob(table, size, fit, workers or usable_cores(), on_progress or _ignore)
    place, notes = _choose_place(mode, job.bytes, device)
    if place == "off":
        store = _decode_each_time(job)
    elif place == "disk" or (place == "device" and not fits_in_memory(job.bytes)):
        store = _in_file(job)
    else:
        store = _in_memory(job)
    if store.bad and (bad_images == "stop" or not len(store)):
        raise bad_image_error(store.bad, len(table))
    if store.bad:
        notes.append(f"{len(store.bad)} of {len(table)} images cannot be read and are left out.")
    store = replace(store, notes=(*notes, *store.notes))
    return _on_device(store, device) if place == "device" else store


def _choose_place(mode: str, needed: int, device: torch.device) -> tuple[str, list[str]]:
    """Return "ram", "disk", "device" or "off", and notes on what stood in the way of the mode asked for."""
    notes: list[str] = []
    if mode == "ram" and needed > (available := available_memory()):
        raise DataError(
            f"The images need {_gb(needed)} of memory, and {_gb(available)} is available.",
            hint="Let cass choose with --cache auto, or keep them in a file with --cache disk.",
        )
    if mode in {"ram", "disk", "off"}:
        return mode, notes
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
        if needed <= SHARE * free:
            return "device", notes
        if mode == "device":
            notes.append(f"The images, {_gb(needed)}, take more than half of the device's free {_gb(free)}.")
    elif mode == "device":
        shared = "MPS shares the memory of the machine, where they are kept."
        notes.append(shared if device.type == "mps" else "There is no CUDA device to keep the images on.")
    if fits_in_memory(needed):
        return "ram", [*notes, "They are kept in memory."] if notes else []
    return "disk", [*notes, f"The images, {_gb(needed)}, take more than half of the available memory: kept in a file."]


def _on_device(store: ImageStore, device: torch.device) -> ImageStore:
    """Copy the images to the device piece by piece; they stay on the host, with a note, when it is full after all."""
    try:
        images = torch.empty(store.images.shape, dtype=torch.uint8, device=device)
    except torch.OutOfMemoryError:
        note = "The device has no room for the images: they are kept on the host."
        return replace(store, notes=(*store.notes, note))
    step = max(1, UPLOAD_BYTES // images[0].numel())
    for start in range(0, len(images), step):
        images[start : start + step].copy_(store.images[start : start + step])
    return replace(store, images=images, where="device", read=None)


def _decode_each_time(job: DecodeJob) -> ImageStore:
    """Read every image once to know the bad ones, keep none, and decode batches by the same number of threads."""
    states, bad = _decoded(job, _ignore)
    kept = np.flatnonzero(states != BAD)
    pool = ThreadPoolExecutor(job.workers, thread_name_prefix="cass-decode")

    def read(rows: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        for place, result in zip(out, pool.map(job.decode, kept[rows].tolist()), strict=True):
            if isinstance(result, BadImage):
                raise DataError(
                    f"{shown(result.name)} was readable when the run began, and is not now: {result.reason}."
                )
            place[:] = result.pixels

    empty = torch.empty((0, 3, job.size, job.size), dtype=torch.uint8)
    return ImageStore(empty, "off", kept, tuple(bad), _page_notes(states), read=read)


def _in_memory(job: DecodeJob) -> ImageStore:
    """Decode into memory, or take the images from the cache file of an earlier run."""
    images = torch.empty((len(job.table), 3, job.size, job.size), dtype=torch.uint8)
    pixels = images.numpy()  # the same memory
    file = existing_file(job)
    if file is not None:
        file.read(np.arange(len(images)), pixels)
        return ImageStore(images, "ram", np.arange(len(images)), notes=_page_notes(file.states))
    states, bad = _decoded(job, pixels.__setitem__)
    kept = np.flatnonzero(states != BAD)
    return ImageStore(images[: len(kept)], "ram", kept, tuple(bad), _page_notes(states))


def _decoded(
    job: DecodeJob, keep: Callable[[int, NDArray[np.uint8]], None]
) -> tuple[NDArray[np.uint8], list[BadImage]]:
    """Decode all rows and `keep(i, image)` the i-th readable one; returns the states of the rows and the bad ones."""
    states: NDArray[np.uint8] = np.full(len(job.table), BAD, np.uint8)
    bad: list[BadImage] = []
    for row, result in job.results(range(len(job.table))):
        states[row] = state_of(result)
        if isinstance(result, BadImage):
            bad.append(result)
        else:
            keep(row - len(bad), result.pixels)
        job.on_progress(row + 1, len(job.table))
    return states, bad


def _in_file(job: DecodeJob) -> ImageStore:
    """Read batches from the cache file; `images` maps it, for those who want all of it.

    Where there can be none, they are held in memory, if they fit.
    """
    try:
        file = cached_file(job)
    except CacheFolderError as error:
        if job.bytes > available_memory():
            raise
        store = _in_memory(job)
        return replace(store, notes=(f"{error.what} {HELD_IN_MEMORY}", *store.notes))
    kept = np.flatnonzero(file.states != BAD)
    notes = (*file.notes, *_page_notes(file.states))
    return ImageStore(torch.from_numpy(file.images), "disk", kept, file.bad, notes, file.path, file.read)


def _ignore(*_: object) -> None:
    """Do nothing: no progress is shown, no pixels are kept."""


def _page_notes(states: NDArray[np.uint8]) -> tuple[str, ...]:
    count = int((states == SEVERAL_PAGES).sum())
    return (f"Of the several pages or frames of {count} file(s), the first is used.",) if count else ()


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
