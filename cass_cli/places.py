"""Where files lie on this machine: what leaves it tells of a path its last name alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

FOLDERS = re.compile(r"(^|=)(~[^/\\]*[/\\]|[A-Za-z]:[/\\]|/|\\\\)(.*[/\\])?(?=[^/\\])", re.DOTALL)
WITHIN = re.compile(r"(?<![\w./~])(?:~\w*)?/(?:[^\s/'\"<>]+/)+(?=[^\s/'\"<>])")  # a sentence, or a command


def without_folders(word: str) -> str:
    """Return a path, or an option with one, without its folders where it is absolute: `--data=/a/b` → `--data=b`."""
    return FOLDERS.sub(r"\1", word)


def without_places(text: str, places: Iterable[Path] = ()) -> str:
    """Return a text without the `places`, folders that it may name, and as far as can be told without any other."""
    if "/" not in text and os.sep not in text:
        return text
    for place in sorted({str(place) for place in places}, key=len, reverse=True):
        if len(Path(place).parts) > 1:
            text = text.replace(f"{place}/", "").replace(place, Path(place).name)
    return WITHIN.sub("", text)
