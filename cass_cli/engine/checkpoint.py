"""Exact resume: everything a step depends on, in one file that is either the old one or the new one, whole.

Chance needs no saving: it is a function of the seed and the position (`seeds.py`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from cass_cli.errors import RunError

FORMAT = 1


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write `state` (tensors, numbers, text, and dicts and lists of them) to `path`, atomically.

    Raises `RunError` when the disk is full; what was at `path` is then still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            torch.save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a short write as RuntimeError
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        if isinstance(error, RuntimeError) and "write" not in str(error):
            raise
        raise RunError(
            f"The disk is full: the checkpoint {path} could not be written; the one before it is kept.",
            hint="Free some space and go on with --resume.",
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return what `save_checkpoint` wrote, on the CPU; raise `RunError` for anything else."""
    if not path.is_file():
        raise RunError(f"There is no checkpoint {path}.", hint="The run stopped before its first one: start it again.")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if state.pop("format") != FORMAT:
            raise RunError(f"{path} was written by another version of cass.", hint="Resume it with that version.")
    except RunError:
        raise
    except Exception as error:
        raise RunError(f"{path} is not a checkpoint of cass, or is damaged.", hint="Start the run again.") from error
    return state
