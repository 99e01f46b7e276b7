"""Exact resume: everything a step depends on, in one file that is either the old one or the new one, whole.

Chance needs no saving: it is a function of the seed and the position (`seeds.py`). Behind what torch.save writes stands
a digest of it, which torch.load passes over: a bit that the disk or a copy lost is found before anything trains.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import torch

from cass_cli.errors import RunError
from cass_cli.files import whole_file
from cass_cli.models.torch_file import load_torch

FORMAT = 1
MARK = b"cass-sha256:"
ENDING = len(MARK) + hashlib.sha256().digest_size  # bytes


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write `state` (tensors, numbers, text, and dicts and lists of them) to `path`, atomically.

    Raises `RunError` where it cannot be written; what was at `path` is then still there.
    """
    with whole_file(path, hint="Then go on with --resume: the checkpoint before it is kept.") as file:
        hashed = _Hashed(file)
        torch.save({"format": FORMAT, **state}, cast(IO[bytes], hashed))
        file.write(MARK + hashed.digest.digest())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return what `save_checkpoint` wrote, on the CPU; raise `RunError` for anything else."""
    if not path.is_file():
        raise RunError(f"There is no checkpoint {path}.", hint="The run stopped before its first one: start it again.")
    try:
        state = load_torch(path)
        if not _intact(path):
            raise ValueError("it is not what was saved")
    except (OSError, ValueError) as error:
        what = f"{path} is not a checkpoint of cass, or is damaged: {error}."
        raise RunError(what, hint="Start the run again.") from error
    version = state.pop("format", None) if isinstance(state, dict) else None
    if not isinstance(version, int):
        raise RunError(f"{path} is not a checkpoint of cass.", hint="Start the run again.")
    if version != FORMAT:
        raise RunError(f"{path} was written by another version of cass.", hint="Resume it with that version.")
    found: dict[str, Any] = state
    return found


class _Hashed:
    """Passes on what is written, and knows its digest."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def _intact(path: Path) -> bool:
    """Whether the file is what was written; one from before there was a digest is taken to be."""
    left, digest = path.stat().st_size - ENDING, hashlib.sha256()
    with path.open("rb") as file:
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
        ending = file.read()
    return not ending.startswith(MARK) or ending == MARK + digest.digest()
