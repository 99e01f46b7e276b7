"""What arms know of images, read as a probe reads it (`engine/features.py`), in constant memory but for the answers.

Shapes: N images, n that could be read, B images of a batch, D features, S image side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cass_cli.data.sample_table import SampleTable
from cass_cli.data.store.decoding import BadImage, DecodeJob, Planes, usable_cores
from cass_cli.engine.compute import Compute
from cass_cli.engine.embedding.request import Asked
from cass_cli.engine.features import BATCH, Reading, read_batch
from cass_cli.errors import ConfigError, RunError
from cass_cli.models.layers import layer_count
from cass_cli.words import count


@dataclass(frozen=True)
class Features:
    """The features of one arm."""

    values: NDArray[np.float32]  # [n, D]
    widths: tuple[int, ...]  # of each part (of a layer: its class token, the mean of its patches), adding up to D
    layers: tuple[int, ...]  # that they are of, the last of the network being 1


@dataclass(frozen=True)
class Read:
    """The features of all arms, of the images that could be read."""

    arms: Mapping[str, Features]
    rows: NDArray[np.int64]  # [n] of the table
    bad: tuple[BadImage, ...]


def layers_of(name: str, network: nn.Module, asked: Asked, usual: int) -> tuple[int, ...]:
    """Return which layers of a network are read; raise `ConfigError` where it has not so many as are asked for."""
    known = layer_count(network)
    wanted = asked.layer or asked.layers
    if wanted is not None and wanted > known:
        option = "--layer" if asked.layer else "--layers"
        raise ConfigError(f"{name} has {count(known, 'layer')}, and {option} asks for {wanted}.", hint="1 is the last.")
    return (asked.layer,) if asked.layer else tuple(range(1, min(asked.layers or usual, known) + 1))


def read_arms(
    networks: Mapping[str, nn.Module],
    table: SampleTable,
    layers: Mapping[str, tuple[int, ...]],
    reading: Reading,
    compute: Compute,
    *,
    workers: int = 0,
    on_progress: Callable[[int, int], None],
) -> Read:
    """Return the features of every network for all images of `table` that can be read, in its order.

    A batch is decoded, read and forgotten. `reading.layers` counts for no network: `layers` says which. Raises
    `RunError` where a network gives features that are not finite.
    """
    placed = {name: compute.place(network).eval() for name, network in networks.items()}
    readings = {name: Reading(reading.spec, max(layers[name]), reading.mirrored) for name in networks}
    values: dict[str, NDArray[np.float32]] = {}
    widths: dict[str, tuple[int, ...]] = {}
    rows: list[int] = []
    bad: list[BadImage] = []
    job = DecodeJob(table, reading.spec.size, reading.spec.fit, workers or usable_cores(), lambda _done, _total: None)
    for found, planes in _batches(job, bad):
        pixels = torch.from_numpy(planes).to(compute.device)
        for name, network in placed.items():
            read, of_parts = read_batch(network, pixels, readings[name], compute)
            first, widths[name] = _kept(layers[name], of_parts)
            if not np.isfinite(read).all():
                raise RunError(
                    f"{name} gives features that are not finite: its training has diverged, or the precision is too "
                    "low.",
                    hint="Try --precision fp32.",
                )
            held = values.setdefault(name, np.empty((len(table), sum(widths[name])), np.float32))
            held[len(rows) : len(rows) + len(found)] = read[:, first:]
        rows += found
        on_progress(len(rows) + len(bad), len(table))
    arms = {name: Features(held[: len(rows)], widths[name], layers[name]) for name, held in values.items()}
    return Read(arms, np.array(rows, dtype=np.int64), tuple(bad))


def _batches(job: DecodeJob, bad: list[BadImage]) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    """Yield rows of the table and their pixels [B, 3, S, S]; what cannot be read is added to `bad`."""
    rows: list[int] = []
    planes: list[NDArray[np.uint8]] = []
    for row, result in job.results(range(len(job.table))):
        if isinstance(result, Planes):
            rows.append(row)
            planes.append(result.pixels)
        else:
            bad.append(result)
        if len(rows) == BATCH:
            yield rows, np.stack(planes)
            rows, planes = [], []
    if rows:
        yield rows, np.stack(planes)


def _kept(layers: tuple[int, ...], widths: list[int]) -> tuple[int, tuple[int, ...]]:
    """Return the first column that is kept of what was read, and the widths of the parts from there on.

    The parts come layer by layer, the last layer of the network first, so one alone is the end of what was read.
    """
    parts = len(widths) // max(layers) * len(layers)
    return sum(widths[: len(widths) - parts]), tuple(widths[len(widths) - parts :])
