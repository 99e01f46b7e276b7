"""One row of a `SampleTable` → pixels, whether it is a file or a member of an archive."""

from __future__ import annotations

import io
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.config.schema import FitName
from cass_cli.data.decode.channels import shown_channels
from cass_cli.data.decode.facts import Decoded, DecodeError, check_pixels
from cass_cli.data.decode.image import read_image, squared_pixels
from cass_cli.data.layouts.hdf5 import open_images, pcam_file
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.space import default_cache_dir, fits_in_memory

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
    except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile) as error:
        raise DecodeError(f"{table.root}/{name}", f"not to be had from the archive ({error})") from error
    check_pixels(name, pixels.shape[1], pixels.shape[0], table.rules)
    rgb = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
    rgb = shown_channels(name, rgb, table.rules)
    rgb = rgb if size is None else squared_pixels(np.ascontiguousarray(rgb), size, fit)
    return Decoded(rgb, several_pages=False)


def archive_images(path: Path, part: str) -> Any:
    """Return the images of a part of an archive, [N, H, W] or [N, H, W, 3], opened once in a process.

    Those of HDF5 files are read as rows are asked for. Of an .npz it is the array `<part>_images`: a stored one is
    memory-mapped in place. A compressed one is read into memory where it fits; otherwise it is unpacked to a
    temporary file in the cache directory, gone when the process ends, and memory-mapped there.
    """
    hdf5 = path.suffix == ".h5"
    file = pcam_file(path, part, "x") if hdf5 else path
    key = (file, file.stat().st_mtime_ns, part)
    with _opening:
        if key not in _opened:
            _opened[key] = open_images(file) if hdf5 else _open_member(file, f"{part}_images.npy")
        return _opened[key]


def _open_member(path: Path, member: str) -> NDArray[Any]:
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(member)
        if info.compress_type == zipfile.ZIP_STORED:
            with path.open("rb") as whole:
                whole.seek(info.header_offset + 26)  # the local header's name and extra field follow 30 bytes
                lengths = np.frombuffer(whole.read(4), "<u2")
                whole.seek(info.header_offset + 30 + int(lengths.sum()))
                return _mapped(whole, path)
        with archive.open(info) as stream:
            if fits_in_memory(info.file_size):
                return _mapped(io.BytesIO(stream.read()), None)
            folder = default_cache_dir()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - the mapping keeps it
            while block := stream.read(1 << 24):
                file.write(block)
            file.seek(0)
            return _mapped(file, file)


def _mapped(file: IO[bytes], source: Any) -> NDArray[Any]:
    """Map the .npy array that starts at the file's position; `source` None means that `file` is in memory."""
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("pickled objects are not read")
    order: Any = "F" if fortran else "C"
    if source is None:
        assert isinstance(file, io.BytesIO)
        return np.frombuffer(file.getbuffer()[file.tell() :], dtype).reshape(shape, order=order)
    return np.memmap(source, dtype, "r", offset=file.tell(), shape=shape, order=order)
