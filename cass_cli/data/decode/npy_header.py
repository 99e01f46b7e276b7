"""What an .npy states of its array, held against the bytes that are there before anything is allocated for it."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

HEAD = 1 << 16  # bytes in which a header lies; a later version may state 4 GB of it
VERSIONS = ((1, 0), (2, 0), (3, 0))


@dataclass(frozen=True)
class NpyHeader:
    """Shape, whether the first axis runs fastest, type, and the bytes before the values."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    length: int

    @property
    def values(self) -> int:
        """Return how many values there are."""
        return math.prod(self.shape)

    def array(self, data: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the array whose values these bytes are."""
        return data.view(self.dtype).reshape(self.shape, order="F" if self.fortran else "C")


def npy_header(file: IO[bytes], size: int) -> NpyHeader:
    """Read the header of an .npy of `size` bytes; raises ValueError, in a few words.

    Python objects are refused, as loading them could run code, and so are values more or fewer than are stated.
    """
    head = io.BytesIO(file.read(HEAD))
    try:
        version = np.lib.format.read_magic(head)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(head)
    except Exception:  # almost anything, on hostile text: RecursionError, TokenError, MemoryError of the parser's own
        raise ValueError("it has no header of a NumPy array, or a damaged one") from None
    if version not in VERSIONS:
        raise ValueError(f"its header is of version {version[0]}, which NumPy does not write")
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not loaded: they could run code")
    if any(isinstance(side, bool) or side < 0 for side in shape):
        raise ValueError(f"its header states sides of {list(shape)}")
    header = NpyHeader(shape, fortran, dtype, head.tell())
    stated, held = header.values * dtype.itemsize, size - header.length
    if stated != held:
        raise ValueError(f"its header states {stated:,} bytes of values, and {held:,} are there")
    return header
