"""Digests of the files that decide a run or fine-tuning: `manifest.json` beside them.

A folder without one is from before there were manifests, and is believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cass_cli.errors import RunError
from cass_cli.files import write_json, write_text
from cass_cli.reading import read_bytes
from cass_cli.saved import read_json
from cass_cli.words import shown_list

NAME = "manifest.json"
MOST_BYTES = 1_000_000_000  # of a file that it records

Digests = Mapping[str, Sequence[str]]
"""By the name of a file. It may have two: it is being replaced, and either is right."""


@dataclass(frozen=True)
class ManifestRecord:
    """See above."""

    format: Literal[1]
    files: dict[str, list[str]]


def read_manifest(folder: Path) -> Digests | None:
    """Return the digests of a run's or fine-tuning's files, None where it has none; raise `RunError` for damage."""
    if not (folder / NAME).exists():
        return None
    hint = "Put it back as it was; or delete it, and nothing is compared."
    files = read_json(folder / NAME, ManifestRecord, hint=hint).files
    if elsewhere := [name for name in files if Path(name).name != name or name in ("", "..") or "\0" in name]:
        what = f"{folder / NAME} is damaged: it is of files that do not lie beside it, {shown_list(elsewhere, 3)}."
        raise RunError(what, hint=hint)
    return files


def write_manifest(folder: Path, names: Iterable[str], *, coming: Mapping[str, str] | None = None) -> None:
    """Record the digests that these files of the folder have now, and those of the texts that are `coming`."""
    files = {name: [_digest((folder / name).read_bytes())] for name in names}
    _write(folder, files | {name: [_digest(_encoded(text))] for name, text in (coming or {}).items()})


def replace_recorded(path: Path, text: str) -> None:
    """Write `text` to a file that a manifest beside it records, so that they agree whenever the process dies."""
    files, digest = read_manifest(path.parent), _digest(_encoded(text))
    if files is None:
        write_text(path, text)
        return
    before = files.get(path.name, [])
    if digest not in before:
        _write(path.parent, {**files, path.name: [*before, digest]})
    write_text(path, text)
    if before != [digest]:
        _write(path.parent, {**files, path.name: [digest]})


def check_files(folder: Path) -> None:
    """Raise `RunError` naming the files that were changed since the run or fine-tuning in `folder` wrote them."""
    files = read_manifest(folder) or {}
    changed = [str(folder / name) for name, digests in files.items() if _digest_of(folder / name) not in digests]
    if changed:
        raise RunError(
            f"Changed since cass wrote it: {shown_list(changed)}.",
            hint="Put it back as it was, or make a new run: a run goes on only as it began.",
        )


def _write(folder: Path, files: Digests) -> None:
    write_json(folder / NAME, {"format": 1, "files": files})


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _digest_of(path: Path) -> str:
    try:
        return _digest(read_bytes(path, MOST_BYTES))
    except (OSError, ValueError):
        return ""


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
