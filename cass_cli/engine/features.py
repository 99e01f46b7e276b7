"""What frozen arms know of the images of a run: each image goes once through each arm, and the answer is kept.

The images that have a label are numbered and cut into batches that are always the same, so that a feature is the same
whichever label fraction or seed asks for it first, to the last bit. A batch is a file, whole or not at all: an
interrupted run goes on with the next one. The folder's name covers the arm's weights, the images (their paths, sizes
and times), what is read, and how it is computed, so what has changed is computed anew.

Shapes: B images of a batch, D features, n rows.
"""

from __future__ import annotations

import copy
import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import nn

from cass_cli.data.labelled_images import Images, LabelledData
from cass_cli.data.store.file import header_of
from cass_cli.data.views.apply import apply_view
from cass_cli.data.views.draw import unchanged
from cass_cli.data.views.spec import ImageSpec
from cass_cli.engine.batches import prefetch
from cass_cli.engine.compute import Compute
from cass_cli.engine.signals import StopRequest
from cass_cli.errors import RunError
from cass_cli.files import whole_file
from cass_cli.models.layers import arm_features

BATCH = 32  # images: with 1 % of the labels, a quarter of the training images is computed, not all


@dataclass(frozen=True)
class Reading:
    """What of an arm is read, and of which images."""

    spec: ImageSpec
    layers: int
    mirrored: bool


@dataclass(frozen=True)
class ArmFeatures:
    """The features of one arm for those images that were asked for and could be read."""

    values: NDArray[np.float32]  # [n, D]
    widths: tuple[int, ...]  # of each layer, adding up to D
    place: NDArray[np.int64]  # of a row of the table in `values`

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features [m, D] of rows of the table that were asked for and could be read."""
        assert (self.place[rows] >= 0).all(), "rows that were asked for"
        return self.values[self.place[rows]]


def batches_with(data: LabelledData, rows: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """Return the batches, rows of the table by number, that hold any of `rows`."""
    numbered = np.sort(np.concatenate(list(data.rows.values())))
    found = np.unique(np.searchsorted(numbered, rows) // BATCH)
    return {int(number): numbered[number * BATCH : (number + 1) * BATCH] for number in found}


def features_of(
    folder: Path,
    arms: Mapping[str, nn.Module],
    data: LabelledData,
    images: Images,
    rows: NDArray[np.int64],
    reading: Reading,
    compute: Compute,
    *,
    stop: StopRequest,
    on_progress: Callable[[int, int], None],
) -> dict[str, ArmFeatures]:
    """Return the features of each arm for `rows` of the table, which are decoded in `images`; kept in `folder`.

    Raises `Interrupted` for `stop` between two batches, `RunError` where the disk is full.
    """
    readable = {number: images.readable(held) for number, held in batches_with(data, rows).items()}
    batches = {number: found for number, found in readable.items() if len(found)}
    places = feature_folders(folder, arms, data, reading, compute)
    todo = {name: unread(place, batches) for name, place in places.items()}
    done, total = 0, sum(map(len, todo.values()))
    for name, numbers in todo.items():
        if not numbers:
            continue
        network = compute.place(copy.deepcopy(arms[name])).eval()
        missing = [batches[number] for number in numbers]
        pixels = prefetch(
            lambda part: images.store.batch(images.of(part), compute.device), missing, device=compute.device
        )
        for number, found, batch in zip(numbers, missing, pixels, strict=True):
            values, widths = read_batch(network, batch, reading, compute)
            _save(_file(places[name], number, found), rows=found, values=values, widths=np.array(widths))
            done += 1
            on_progress(done, total)
            stop.check()
    return {name: _load(place, batches, len(data.table)) for name, place in places.items()}


def feature_folders(
    folder: Path, arms: Mapping[str, nn.Module], data: LabelledData, reading: Reading, compute: Compute
) -> dict[str, Path]:
    """Return where in `folder` the features of each arm are or would be, named for all that they depend on."""
    return {name: folder / f"{name}-{_key(arm, data, reading, compute)}" for name, arm in arms.items()}


def unread(place: Path, batches: Mapping[int, NDArray[np.int64]]) -> list[int]:
    """Return those of the batches of readable rows of which the folder `place` has no features yet, or damaged ones."""
    return [number for number, rows in batches.items() if _saved(_file(place, number, rows), rows) is None]


@torch.inference_mode()
def read_batch(
    network: nn.Module, pixels: torch.Tensor, reading: Reading, compute: Compute
) -> tuple[NDArray[np.float32], list[int]]:
    """Return features fp32 [B, D] of uint8 images [B, 3, S, S] on the device, and the widths of the layers."""
    images = apply_view(pixels, unchanged(len(pixels)), reading.spec).contiguous(memory_format=compute.memory_format)
    with compute.autocast():
        values, widths = arm_features(network, images, layers=reading.layers, mirrored=reading.mirrored)
    return values.cpu().numpy(), widths


def _key(network: nn.Module, data: LabelledData, reading: Reading, compute: Compute) -> str:
    """Return a name for all that the features depend on."""
    digest = hashlib.blake2b(digest_size=8)
    facts: dict[str, Any] = {
        **asdict(reading),
        "images": header_of(data.table, reading.spec.size, reading.spec.fit).key,
        "device": compute.device.type,
        "precision": compute.precision,
        "memory_format": str(compute.memory_format),
        "batch": BATCH,
        "versions": [torch.__version__, timm.__version__],
    }
    del facts["spec"]["fit"]  # the images' key has it, and features from before there was a choice stay valid
    digest.update(json.dumps(facts, sort_keys=True).encode())
    digest.update(np.sort(np.concatenate(list(data.rows.values()))).tobytes())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _file(place: Path, number: int, rows: NDArray[np.int64]) -> Path:
    """Return the file of a batch: another where other of its images can be read."""
    return place / f"{number:05}-{zlib.crc32(rows.tobytes()):08x}.npz"


def _save(path: Path, **arrays: NDArray[np.generic]) -> None:
    with whole_file(path, hint="Then go on with --resume.", durable=False) as file:
        np.savez(file, allow_pickle=False, **arrays)


def _load(folder: Path, batches: Mapping[int, NDArray[np.int64]], images: int) -> ArmFeatures:
    """Return what the files of these batches hold, for a table of so many `images`."""
    rows, values = [], []
    widths: tuple[int, ...] = ()
    for number, readable in batches.items():
        path = _file(folder, number, readable)
        saved = _saved(path, readable)
        if saved is None:
            raise RunError(f"{path} is damaged.", hint=f"Delete {folder} and go on with --resume.")
        rows.append(readable)
        values.append(saved[0])
        widths = saved[1]
    place = np.full(images, -1)
    place[np.concatenate(rows)] = np.arange(sum(map(len, rows)))
    return ArmFeatures(np.concatenate(values), widths, place)


def _saved(path: Path, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], tuple[int, ...]] | None:
    """Return the features of `rows` that a file holds, and their widths; None where it is not there, or not whole."""
    try:
        if any(part.compress_type != zipfile.ZIP_STORED for part in _parts(path)):  # that could unpack to gigabytes
            return None
        with np.load(path, allow_pickle=False) as saved:  # which holds the contents against their checksums
            held, values, widths = (saved[name] for name in ("rows", "values", "widths"))
    except (OSError, ValueError, KeyError, EOFError, TypeError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        return None
    except MemoryError:  # for an array that is said to be larger than the file
        return None
    whole = np.array_equal(held, rows) and values.shape == (len(rows), widths.sum()) and values.dtype == np.float32
    return (values, tuple(widths.tolist())) if whole else None


def _parts(path: Path) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(path) as archive:
        return archive.infolist()
