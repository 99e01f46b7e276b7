"""Reading what torch.save wrote: tensors, numbers, text, and tables of them, and nothing that takes more than it is.

PyTorch runs no code of such a file, but unpacks what is packed, and takes a tensor's size on trust. A file of today is
a zip whose parts are stored as they are, one of them a pickle that says what the others are; an older one begins with
pickles.
"""

from __future__ import annotations

import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from cass_cli.words import shown

warnings.filterwarnings("ignore", message="Validating sparse tensor invariants")  # which are refused

MOST_PARTS = 20_000  # of a zip, one a tensor: PyTorch takes half a millisecond for each
MOST_SAID = 16_000_000  # bytes of a pickle: 300 a tensor
MOST_STEPS = 1_000_000  # of an older file's pickle: 40 a tensor
OLD_PICKLES = 4  # before the tensors of an older file: two numbers, a table of sizes, and what it holds
NO_TENSORS = "it is no file of tensors that PyTorch wrote, or is damaged"


def load_torch(path: Path, *, old: bool = False) -> Any:
    """Return what torch.save wrote to `path`, on the CPU; `old` files are read where they are asked for.

    Raises `ValueError` in words of cass for anything else, `OSError` where it cannot be read.
    """
    if path.stat() and not path.is_file():
        raise ValueError("it is no file")
    with path.open("rb") as file:
        if not _is_plain_zip(file):
            if not old:
                raise ValueError(NO_TENSORS)
            _check_pickles(file)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(_why(error)) from error
    _check_stored(found, path.stat().st_size)
    return found


def _is_plain_zip(file: IO[bytes]) -> bool:
    """Whether a file is a zip; raise `ValueError` where PyTorch would unpack more than lies in it."""
    if file.read(4) != b"PK\3\4":
        return False
    try:
        with zipfile.ZipFile(file) as parts:
            infos = parts.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(NO_TENSORS) from error
    if any(info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size for info in infos):
        raise ValueError(
            "its parts are packed, as torch.save leaves none (TorchScript does): save the state_dict alone"
        )
    if len(infos) > MOST_PARTS:
        raise ValueError(f"it has {len(infos):,} parts, and at most {MOST_PARTS:,} tensors are read")
    if any(info.file_size > MOST_SAID for info in infos if info.filename.endswith(".pkl")):
        raise ValueError(f"what it says of its tensors has more than {MOST_SAID / 1e6:.0f} MB")
    return True


def _check_pickles(file: IO[bytes]) -> None:
    """Raise `ValueError` unless an older file begins with pickles of a sensible length."""
    file.seek(0)
    try:
        for _ in range(OLD_PICKLES):
            begins = file.tell()
            for number, _ in enumerate(pickletools.genops(file)):
                if number > MOST_STEPS or file.tell() - begins > MOST_SAID:
                    raise ValueError(f"what it says of its tensors has more than {MOST_SAID / 1e6:.0f} MB")
    except ValueError as error:
        raise ValueError(str(error) if "tensors" in str(error) else NO_TENSORS) from error
    except Exception as error:  # pickletools says in many ways that it is no pickle
        raise ValueError(NO_TENSORS) from error


def _why(error: Exception) -> str:
    """Return why PyTorch read nothing, without its advice to read it all the same."""
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    if named:
        return f"it holds {shown(named[1])[:100]} besides tensors, and cass runs no code of a file"
    return NO_TENSORS


def _check_stored(found: Any, size: int) -> None:
    """Raise `ValueError` where tensors have more numbers together than the file has bytes: they share what is stored.

    One number can be a billion by stride 0, and a thousand tensors can lie over one; each would be copied in full.
    """
    numbers = 0
    for tensor in _tensors(found):
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise ValueError("it holds tensors that are sparse, quantised or of no place")
        numbers += tensor.numel()
    if numbers > size:
        raise ValueError(f"its tensors are said to have {numbers:,} numbers, and the file has {size:,} bytes")


def _tensors(found: Any) -> Iterator[Tensor]:
    """Yield the tensors in tables and lists, however deep."""
    left = [found]
    while left:
        node = left.pop()
        if isinstance(node, Tensor):
            yield node
        elif isinstance(node, Mapping):
            left.extend(node.values())
        elif isinstance(node, (list, tuple)):
            left.extend(node)
