"""One slice of a NIfTI volume (.nii, .nii.gz) → uint8 RGB pixels, through the optional extra `cass-cli[nifti]`.

Slices are cut across the axis along which voxels are farthest apart, and shown as radiologists look at them: the front
of the patient up (axial) or left (sagittal), the head up, the patient's right on the left.

Values are those of the file with its slope. Unless one is asked for, all slices of a volume have the same window, by
the percentiles of `depth.py`, so that they do not flicker; they are taken of at most SAMPLED voxels, evenly spread, so
that a slice looks the same whichever others are read. uint8 without a slope passes unchanged.

Of several volumes the first is read. Where they are channels, one or three are needed; chosen channels are taken of
volumes in time too, as data sets keep the contrasts of one patient there.

What is packed is unpacked once for all slices, no further than it is needed. At most KEPT bytes are kept for all files,
and few threads unpack at a time: as many as fit in KEPT, or one volume that is larger.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.decode.channels import check_channels, in_three, to_eight_bits
from cass_cli.data.decode.depth import percentile_window
from cass_cli.data.decode.facts import (
    Decoded,
    DecodeError,
    ImageFacts,
    PixelRules,
    check_bytes,
    check_frames,
    check_pixels,
)
from cass_cli.data.decode.kept import Budget, Kept
from cass_cli.data.decode.nifti_file import COLOURS, NiftiHeader, read_header
from cass_cli.data.decode.spread import middle
from cass_cli.data.decode.watched import WatchedFile

KEPT = 2**29
SAMPLED = 2**20
BLOCK = 2**22


@dataclass(frozen=True)
class Volume:
    """The stored values of the volumes that are shown, and the window of what they mean."""

    header: NiftiHeader
    parts: tuple[NDArray[Any], ...]  # [X, Y, Z] each
    window: tuple[float, float]

    @property
    def bytes(self) -> int:
        return sum(part.nbytes for part in self.parts) if self.header.packed else 0  # others are mapped


_kept: Kept[Volume] = Kept(KEPT)
_unpacking = Budget(KEPT)


def read_nifti(path: Path, file: WatchedFile, *, frame: int | None, rules: PixelRules) -> Decoded:
    """Return slice `frame`, counted from the left, the back or the feet; None: the middle one. Raises `DecodeError`."""
    header = read_header(path, file)
    check_frames(path, header.slices, frame)
    height, width = header.size
    check_pixels(path, width, height, rules)
    file.will_take(memory=width * height * 32)
    facts = path.stat()
    key = (str(path), facts.st_size, facts.st_mtime_ns, rules.channels)
    volume = _kept.get(key, lambda: _read_volume(path, file, header, rules))
    index = middle(header.slices) if frame is None else frame
    values = np.stack([_slice(header, part, index) for part in volume.parts], axis=-1)  # [H, W, C]
    if header.dtype == COLOURS:
        values = _coloured(values, rules)
    if not header.plain and header.dtype != COLOURS:  # a slope of colours means nothing
        values = values * header.slope + header.inter
    pixels = to_eight_bits(values, rules.window or volume.window)
    return Decoded(in_three(pixels), several_pages=frame is None and header.slices > 1)


def describe_nifti(path: Path, file: WatchedFile) -> ImageFacts:
    """Read the header alone; raises `DecodeError`."""
    header = read_header(path, file)
    height, width = header.size
    mode = "RGB" if header.dtype == COLOURS else header.dtype.name
    bits = 8 if header.dtype == COLOURS else 8 * header.dtype.itemsize
    return ImageFacts(
        width, height, mode, bits, format="NIfTI", pages=header.slices, unit="slice", volumes=header.volumes
    )


def _slice(header: NiftiHeader, values: NDArray[Any], index: int) -> NDArray[Any]:
    """Return slice `index` of [X, Y, Z] as it is shown, [H, W]: both axes of the patient run from the far end."""
    patient: NDArray[Any] = values.transpose(header.axes)
    patient = patient[tuple(slice(None, None, -1) if flipped else slice(None) for flipped in header.flipped)]
    shown: NDArray[Any] = np.moveaxis(patient, header.along, 0)[index][::-1, ::-1].T  # `take` would copy the volume
    return shown


def _coloured(values: NDArray[Any], rules: PixelRules) -> NDArray[np.uint8]:
    """Return uint8 [H, W, C] of values [H, W, 1] that are colours."""
    colours = np.stack([values["R"], values["G"], values["B"]], axis=-1)[:, :, 0]
    return colours if rules.channels is None else colours[..., list(rules.channels)]


def _read_volume(path: Path, file: WatchedFile, header: NiftiHeader, rules: PixelRules) -> Volume:
    """Return the volumes that are shown, unpacked or mapped; raises `DecodeError` for more than is allowed."""
    numbers: tuple[int, ...] = (0,)
    if header.dtype == COLOURS or header.volumes == 1 or (rules.channels is None and not header.vector):
        check_channels(path, header.channels, rules)
    else:
        check_channels(path, header.volumes, rules)
        numbers = rules.channels or tuple(range(header.volumes))
    unpacked = (max(numbers) + 1) * header.volume_bytes
    check_bytes(path, unpacked, rules, what=" unpacked" if header.packed else " of values")
    file.will_take(memory=unpacked if header.packed else 0)
    if header.packed:
        with _unpacking.taking(min(len(set(numbers)) * header.volume_bytes, KEPT)):
            parts = _unpacked(path, header, numbers)
    else:
        parts = _mapped(path, header, numbers)
    return Volume(header, parts, (0.0, 0.0) if header.dtype == COLOURS else _window(header, parts))


def _mapped(path: Path, header: NiftiHeader, numbers: tuple[int, ...]) -> tuple[NDArray[Any], ...]:
    needed = header.offset + (max(numbers) + 1) * header.volume_bytes
    if (held := path.stat().st_size) < needed:
        raise DecodeError(path, f"its values are cut short ({held:,} of {needed:,} bytes)")
    starts = [header.offset + number * header.volume_bytes for number in numbers]
    return tuple(np.memmap(path, header.dtype, "r", start, header.shape, "F") for start in starts)


def _unpacked(path: Path, header: NiftiHeader, numbers: tuple[int, ...]) -> tuple[NDArray[Any], ...]:
    """Read the volumes front to back; no more is unpacked than the last of them ends at."""
    found: dict[int, NDArray[Any]] = {}
    with gzip.open(path) as stream:
        position = 0
        for number in sorted(set(numbers)):
            start = header.offset + number * header.volume_bytes
            stream.seek(start)
            values = np.empty(header.volume_bytes, np.uint8)
            view = memoryview(values.data)
            while view and (block := stream.read(min(len(view), BLOCK))):  # readinto would hold all of it twice
                view[: len(block)] = block
                view = view[len(block) :]
            position = start + header.volume_bytes
            if len(view):
                raise DecodeError(path, f"its values are cut short ({position - len(view):,} of {position:,} bytes)")
            found[number] = values.view(header.dtype).reshape(header.shape, order="F")
        if header.offset + header.volumes * header.volume_bytes == position:
            stream.read(1)  # the end, where it is checked against its checksum
    return tuple(found[number] for number in numbers)


def _window(header: NiftiHeader, parts: tuple[NDArray[Any], ...]) -> tuple[float, float]:
    """Return the window of what the values of all parts mean."""
    flat = [part.reshape(-1, order="F") for part in parts]
    step = -(-sum(map(len, flat)) // SAMPLED)
    values = np.concatenate([part[::step] for part in flat]).astype(np.float64)
    return percentile_window(values * header.slope + header.inter)
