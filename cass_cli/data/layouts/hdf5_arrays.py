"""An array of an HDF5 file whose values all lie in that file, and can lie there: nothing is read from elsewhere."""

from __future__ import annotations

import math
from typing import Any

MOST_DEFLATED = 1_032  # times its size is what deflate unpacks at the very most
PACKED = (None, "gzip", "lzf")  # what h5py writes by itself
MOST_CHUNK = 1 << 20  # bytes of one that is packed: h5py makes none larger, and a lying one unpacks to a thousandfold


def own_array(file: Any, name: str, size: int) -> Any:
    """Return an array of a file of `size` bytes, without reading its values.

    Raises KeyError for what is none, or is linked to; ValueError where its values lie in another file, are not there,
    cannot be in so few bytes, or are packed so that reading one could fill the memory.
    """
    found = file[name] if file.get(name, getlink=True).__class__.__name__ == "HardLink" else None
    if found is None or getattr(found, "shape", None) is None or not hasattr(found, "dtype"):
        raise KeyError(f"{name} is no array of this file")
    if found.external or found.is_virtual:
        raise ValueError(f"{name} is no array of this file: its values lie in others")
    stored, stated = found.id.get_storage_size(), found.size * found.dtype.itemsize
    if stored > size or stated > stored * (MOST_DEFLATED if found.chunks else 1):
        raise ValueError(f"{name} states {stated:,} bytes of values, and {stored:,} are there")
    if found.chunks:
        _check_chunks(found, name)
    return found


def _check_chunks(array: Any, name: str) -> None:
    """Raise ValueError for chunks that are missing, packed in other ways, or larger than what they unpack to."""
    if array.compression not in PACKED or array.scaleoffset is not None:
        raise ValueError(f"{name} is packed in a way that is not read: pack it anew with gzip, by h5repack")
    expected = math.prod(-(-side // chunk) for side, chunk in zip(array.shape, array.chunks, strict=True))
    held: list[int] = []
    array.id.chunk_iter(lambda chunk: held.append(chunk.size))
    if len(held) < expected:
        raise ValueError(f"{len(held):,} of {expected:,} chunks of {name} are there")
    whole = math.prod(array.chunks) * array.dtype.itemsize
    if array.compression and whole > MOST_CHUNK:
        raise ValueError(f"{name} is packed in chunks of {whole:,} bytes, more than {MOST_CHUNK:,}: repack it")
    if max(held, default=0) > 1.1 * whole + 1_000:
        raise ValueError(f"a chunk of {name} takes {max(held):,} bytes, and holds {whole:,}")
