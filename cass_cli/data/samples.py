"""One row of a `SampleTable` → pixels, whether it is a file or a member of an archive."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.config.schema import FitName
from cass_cli.data.decode.channels import shown_channels
from cass_cli.data.decode.facts import Decoded, DecodeError, check_pixels
from cass_cli.data.decode.image import read_image, squared_pixels
from cass_cli.data.layouts.hdf5 import open_images, pcam_file
from cass_cli.data.layouts.npz import read_images
from cass_cli.data.sample_table import SampleTable
from cass_cli.errors import DataError
from cass_cli.words import shown

_opened: dict[tuple[Path, int, str], Any] = {}  # the arrays of archives in use, by (path, mtime, part)
_opening = threading.Lock()


def read_sample(table: SampleTable, index: int) -> NDArray[np.uint8]:
    """Return image `index` of the table as uint8 RGB [H, W, 3]; raises `DecodeError`. Safe to call in threads."""
    return read_decoded(table, index).pixels


def read_decoded(
    table: SampleTable,
    index: int,
    *,
    size: int | None = None,
    fit: FitName = "squash",
) -> Decoded:
    """Return image `index`, brought to size × size by `fit` where `size` is given, as `read_image` does for files."""
    if not table.archive:
        return read_image(table.path(index), frame=table.frame(index), rules=table.rules, size=size, fit=fit)
    name = table.names[index]
    part, _, row = name.partition("/")
    try:
        pixels = np.asarray(archive_images(table.root, part)[int(row)])
    except DataError:
        raise
    except Exception as error:  # HDF5 raises almost anything on hostile bytes
        raise DecodeError(f"{table.root}/{name}", f"not to be had from the archive ({shown(str(error))})") from error
    check_pixels(name, pixels.shape[1], pixels.shape[0], table.rules)
    rgb = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
    rgb = shown_channels(name, rgb, table.rules)
    rgb = rgb if size is None else squared_pixels(np.ascontiguousarray(rgb), size, fit)
    return Decoded(rgb, several_pages=False)


def archive_images(path: Path, part: str) -> Any:
    """Return the images of a part of an archive, [N, H, W] or [N, H, W, 3], opened once in a process.

    Those of HDF5 files are read as rows are asked for; of an .npz it is the array `<part>_images`, held against its
    checksum. Raises `DataError` for a file from which none of them can be had.
    """
    hdf5 = path.suffix == ".h5"
    file = pcam_file(path, part, "x") if hdf5 else path
    key = (file, file.stat().st_mtime_ns, part)
    with _opening:
        if key not in _opened:
            _opened[key] = open_images(file) if hdf5 else read_images(file, part)
        return _opened[key]
