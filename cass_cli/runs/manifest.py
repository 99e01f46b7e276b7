"""What a run or fine-tuning was made from: digests of the files that decide it, and its images and their labels.

`manifest.json` beside them. A folder without one is from before there were manifests, and is believed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cass_cli.data.fingerprints import Fingerprint, Fingerprints, differences
from cass_cli.errors import RunError
from cass_cli.files import write_text
from cass_cli.words import count, shown_list

NAME = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """See above. A file may have two digests: it is being replaced, and either is right."""

    files: Mapping[str, tuple[str, ...]]
    images: Fingerprints = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)  # by image, as text; none where they decide nothing


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a run or fine-tuning, None where it has none; raise `RunError` where it is damaged."""
    path = folder / NAME
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["format"] != FORMAT:
            raise RunError(f"{path} was written by another version of cass.", hint="Use that version.")
        return Manifest(
            {str(name): tuple(map(str, digests)) for name, digests in value["files"].items()},
            {str(name): Fingerprint(int(s), int(t), str(d)) for name, (s, t, d) in value["images"].items()},
            {str(name): str(label) for name, label in value["labels"].items()},
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{path} is damaged, so it cannot be told whether the run was changed."
        raise RunError(what, hint="Put it back as it was; or delete it, and nothing is compared.") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it, a line an image."""
    images = {name: [one.size, one.time, one.digest] for name, one in manifest.images.items()}
    parts = [
        f' "format": {FORMAT}',
        f' "files": {_lines({name: list(digests) for name, digests in manifest.files.items()})}',
        f' "images": {_lines(images)}',
        f' "labels": {_lines(manifest.labels)}',
    ]
    write_text(folder / NAME, "{\n" + ",\n".join(parts) + "\n}\n")


def manifest_of(folder: Path, names: Iterable[str], *, coming: Mapping[str, str] | None = None, **of: Any) -> Manifest:
    """Return a manifest with the digests that these files of the folder have now, and texts that are `coming`."""
    files = {name: _digest((folder / name).read_bytes()) for name in names}
    files |= {name: _digest(_encoded(text)) for name, text in (coming or {}).items()}
    return Manifest({name: (digest,) for name, digest in files.items()}, **of)


def replace_recorded(path: Path, text: str) -> None:
    """Write `text` to a file that a manifest beside it records, so that they agree whenever the process dies."""
    manifest, digest = read_manifest(path.parent), _digest(_encoded(text))
    if manifest is None:
        write_text(path, text)
        return
    before = manifest.files.get(path.name, ())
    if digest not in before:
        write_manifest(path.parent, _with(manifest, path.name, (*before, digest)))
    write_text(path, text)
    if before != (digest,):
        write_manifest(path.parent, _with(manifest, path.name, (digest,)))


def check_files(folder: Path) -> None:
    """Raise `RunError` naming the files that were changed since the run or fine-tuning in `folder` wrote them."""
    manifest = read_manifest(folder)
    if manifest is None:
        return
    changed = [name for name, digests in manifest.files.items() if _digest_of(folder / name) not in digests]
    if changed:
        raise RunError(
            f"Changed since cass wrote it: {shown_list([str(folder / name) for name in changed])}.",
            hint="Put it back as it was, or make a new run: a run goes on only as it began.",
        )


def check_images(folder: Path, now: Fingerprints) -> str:
    """Return a note on files that may be others than when `folder` was made; "" where there is none to make.

    Raises `RunError` naming those that are: by count and size, and by contents where `now` has digests.
    """
    manifest = read_manifest(folder)
    if manifest is None or not manifest.images:
        return ""
    wrong, doubtful = differences(manifest.images, now)
    if wrong:
        raise RunError(
            f"The images are not those that {folder} was made from: {wrong}.",
            hint="Put them back as they were, or make a new run.",
        )
    return f"Images: {doubtful}; with --verify their contents are compared." if doubtful else ""


def check_labels(folder: Path, now: Mapping[str, str]) -> None:
    """Raise `RunError` naming the images that are labelled otherwise than when `folder` was made."""
    manifest = read_manifest(folder)
    if manifest is None or not manifest.labels:
        return
    other = sorted(name for name, label in manifest.labels.items() if now.get(name, "") != label)
    other += sorted(now.keys() - manifest.labels.keys())
    if other:
        raise RunError(
            f"{count(len(other), 'image')} labelled otherwise than when {folder} was made: {shown_list(other, 3)}.",
            hint="Put the labels back as they were, or keep both fine-tunings with --variant NAME.",
        )


def _with(manifest: Manifest, name: str, digests: tuple[str, ...]) -> Manifest:
    return Manifest({**manifest.files, name: digests}, manifest.images, manifest.labels)


def _lines(values: Mapping[str, Any]) -> str:
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in values.items()]
    return "{\n" + ",\n".join(lines) + "\n }" if lines else "{}"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _digest_of(path: Path) -> str:
    try:
        return _digest(path.read_bytes())
    except OSError:
        return ""


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
