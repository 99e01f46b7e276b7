"""The header of one NIfTI file: where its values lie, and how they lie in the patient.

A volume has three axes, in the file's order and in that of the patient: 0 from left to right, 1 from back to front, 2
from the feet up (what nibabel calls closest canonical). Slices are counted along one of the latter.
"""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.orientations import io_orientation
from numpy.typing import NDArray

from cass_cli.data.decode.facts import DecodeError, check_frames
from cass_cli.data.decode.watched import WatchedFile

HEADER = 540  # bytes of NIfTI-2's, the longer one
MOST_OFFSET = 2**26  # bytes of header and notes in front of the values
GZIP = b"\x1f\x8b"
SAME_SPACING = 1e-3  # relative: headers hold float32
COLOURS = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


@dataclass(frozen=True)
class NiftiHeader:
    """What the header says. X, Y, Z are the file's axes; V volumes follow each other, in time or in channels."""

    packed: bool
    dtype: np.dtype[Any]  # of a stored value
    shape: tuple[int, int, int]  # X, Y, Z
    volumes: int  # V
    vector: bool  # the volumes are channels, not times
    offset: int  # bytes before the values
    slope: float
    inter: float
    axes: tuple[int, int, int]  # the file's axis that runs along each of the patient's
    flipped: tuple[bool, bool, bool]  # whether it runs against it
    along: int  # the patient's axis along which slices are counted

    @property
    def slices(self) -> int:
        return self.shape[self.axes[self.along]]

    @property
    def size(self) -> tuple[int, int]:
        """Return (height, width) of a slice, as it is shown."""
        across, up = (axis for axis in range(3) if axis != self.along)
        return self.shape[self.axes[up]], self.shape[self.axes[across]]

    @property
    def channels(self) -> int:
        """Return the channels of a voxel; volumes in time are none."""
        return 3 if self.dtype == COLOURS else self.volumes if self.vector else 1

    @property
    def volume_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def plain(self) -> bool:
        """Whether stored values are what they mean."""
        return self.slope == 1 and self.inter == 0


def read_header(path: Path, file: WatchedFile) -> NiftiHeader:
    """Return the header, of which only the first bytes are unpacked; raises `DecodeError` for what is no NIfTI."""
    packed = file.read(2) == GZIP
    file.seek(0)
    block = gzip.GzipFile(fileobj=file).read(HEADER) if packed else file.read(HEADER)
    kinds: tuple[Any, ...] = (Nifti1Header, Nifti2Header)
    kind = next((kind for kind in kinds if kind.may_contain_header(block)), None)
    if kind is None:
        raise DecodeError(path, "not a NIfTI volume")
    header = kind(block[: kind.sizeof_hdr], check=False)
    shape = [int(size) for size in header.get_data_shape()]
    if not shape or min(shape) < 1:
        raise DecodeError(path, f"a NIfTI file of the shape {shape}")
    offset = int(header.get_data_offset())
    if not 0 <= offset <= MOST_OFFSET:
        raise DecodeError(path, f"damaged: its values begin at byte {offset:,}")
    dtype = header.get_data_dtype()
    if dtype != COLOURS and dtype.kind not in "uif":
        raise DecodeError(path, f"it holds {dtype.name}, no real numbers")
    x, y, z = (*shape[:3], 1, 1)[:3]
    slope, inter = header.get_slope_inter()
    axes, flipped = _orientation(header.get_best_affine())
    found = NiftiHeader(
        packed=packed,
        dtype=dtype,
        shape=(x, y, z),
        volumes=math.prod(shape[3:]),
        vector=math.prod(shape[4:]) > 1,
        offset=offset,
        slope=1.0 if slope is None else float(slope),
        inter=0.0 if inter is None else float(inter),
        axes=axes,
        flipped=flipped,
        along=_thinnest([(x, y, z)[axis] for axis in axes], _spacings(header, axes)),
    )
    check_frames(path, found.slices)
    return found


def _orientation(affine: NDArray[Any]) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Return the file's axis along each of the patient's, and whether it runs against it; as stored where unknown."""
    axes: list[int] = [0, 1, 2]
    flipped = [False, False, False]
    found = io_orientation(affine) if np.isfinite(affine).all() else np.full((3, 2), np.nan)
    if np.isfinite(found).all():
        for axis, (along, sign) in enumerate(found):
            axes[int(along)], flipped[int(along)] = axis, bool(sign < 0)
    return (axes[0], axes[1], axes[2]), (flipped[0], flipped[1], flipped[2])


def _spacings(header: Any, axes: tuple[int, int, int]) -> list[float]:
    """Return the distance of voxels along each axis of the patient; 0 where the header gives no sensible one."""
    stated = [abs(float(size)) for size in header.get_zooms()[:3]]
    spacings = [size if math.isfinite(size) else 0.0 for size in (*stated, 0.0, 0.0, 0.0)[:3]]
    return [spacings[axis] for axis in axes]


def _thinnest(sizes: list[int], spacings: list[float]) -> int:
    """Return the patient's axis along which voxels are farthest apart: slices across it are sharpest.

    An axis of one voxel goes before all. Of axes alike, the one of the fewest voxels is taken, else the last.
    """
    widest = max(spacings)
    alike = [axis for axis in range(3) if spacings[axis] >= widest * (1 - SAME_SPACING)]
    flat = [axis for axis in range(3) if sizes[axis] == 1]
    return min(reversed(flat or alike), key=sizes.__getitem__)
