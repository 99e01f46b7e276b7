"""NIfTI volumes for the tests; importing this needs nibabel."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

SHAPE = (7, 9, 5)  # from left to right, back to front, feet up: each tells its axis


def volume(dtype: Any = np.int16) -> NDArray[Any]:
    """Return values [X, Y, Z] that tell where they lie: 100 x + 10 y + z."""
    x, y, z = np.indices(SHAPE)
    return (100 * x + 10 * y + z).astype(dtype)


def nifti(
    path: Path,
    values: NDArray[Any],
    *,
    spacing: tuple[float, float, float] = (1, 1, 3),
    orientation: str = "RAS",
    slope: float | None = None,
    inter: float = 0.0,
) -> Path:
    """Write `values` [X, Y, Z, …] as they lie in the patient, stored in the order of axes that `orientation` names."""
    image = nibabel.Nifti1Image(values, np.diag([*spacing, 1.0]))
    if orientation != "RAS":
        wanted = nibabel.orientations.axcodes2ornt(orientation)
        image = image.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), wanted))
    image.header.set_data_dtype(values.dtype)
    if slope is not None:
        image.header.set_slope_inter(slope, inter)
        stored = nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header)
        raw = bytearray(stored.to_bytes())
        raw[112:120] = np.array([slope, inter], "<f4").tobytes()  # nibabel would scale the values back
        path.write_bytes(gzip.compress(bytes(raw)) if path.suffix == ".gz" else bytes(raw))
        return path
    image.to_filename(path)
    return path
