"""Which run of a folder, or which fine-tuning of a run, is the latest.

A link `latest` beside them says so; where the file system has no links, a text file `latest` that holds the name.
What else is called `latest` is left as it is: a folder, which copying makes of the link (scp -r, zip, cloud drives),
or something of the user's. Then a text file `.latest` holds the name; until it is written, such a folder stands for
the run beside it of which it is a copy.
"""

from __future__ import annotations

import filecmp
from contextlib import suppress
from pathlib import Path

from cass_cli.files import DRAFT, draft_of, telling, write_text

LATEST, INSTEAD = "latest", ".latest"
RECORDS = ("config.yaml", "environment.json", "metrics.jsonl", "summary.json")  # by which a copy is known
LONGEST = 1024  # bytes of a name


def point_latest(path: Path) -> None:
    """Let `latest` beside the run or fine-tuning at `path` name it; raise `RunError` where that cannot be written."""
    if path.name == LATEST:  # a copy without its original, which goes by this name itself
        return
    latest, instead = path.parent / LATEST, path.parent / INSTEAD
    ours = latest.is_symlink() or not latest.exists() or bool(_name_in(latest))
    draft, target = draft_of(path), latest if ours else instead
    with telling(target, "Check the disk and the folder's permissions, or choose another --runs."):
        try:
            if not (ours and _linked(draft, path.name)):
                write_text(draft, path.name + "\n")
            draft.replace(target)
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        if ours:
            instead.unlink(missing_ok=True)


def latest_of(folder: Path) -> Path | None:
    """Return the latest run or fine-tuning in `folder`; None where nothing says so, or it is gone."""
    latest = folder / LATEST
    if latest.is_symlink() and latest.exists():
        target = latest.resolve()
        return folder / target.name if target.parent == folder.resolve() else target
    if name := _name_in(latest) or _name_in(folder / INSTEAD):
        return folder / name
    return _original(latest) if (latest / RECORDS[0]).is_file() else None


def by_name(path: Path) -> Path:
    """Return `path` with the name of what each `latest` in it means, where it means something."""
    found = Path(path.anchor)
    for part in path.relative_to(found).parts:
        found = (latest_of(found) if part == LATEST else None) or found / part
    return found


def _linked(link: Path, name: str) -> bool:
    """Make a link, and return whether the file system and the user's rights allowed it."""
    try:
        link.symlink_to(name, target_is_directory=True)
    except (OSError, NotImplementedError):
        return False
    return True


def _name_in(path: Path) -> str:
    """Return the name that a text file holds, if it is that of a folder beside it; else ""."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > LONGEST:
        return ""
    name = path.read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n")
    plain = Path(name).name == name and name not in ("", ".", "..", LATEST)
    return name if plain and (path.parent / name).is_dir() else ""


def _original(copy: Path) -> Path:
    """Return the folder beside `copy` that has the same records, of several the last by name; else `copy` itself."""
    others = [path for path in sorted(copy.parent.iterdir()) if path.name != copy.name]
    beside = [path for path in others if path.is_dir() and not DRAFT.fullmatch(path.name)]
    alike = [path for path in beside if all(_same(path / name, copy / name) for name in RECORDS)]
    return alike[-1] if alike else copy


def _same(first: Path, second: Path) -> bool:
    """Whether two files are equal to the byte, or both are missing."""
    if not (first.is_file() and second.is_file()):
        return not first.exists() and not second.exists()
    return filecmp.cmp(first, second, shallow=False)
