"""Where files lie on this machine: what leaves it tells of a path its last name alone; and names for any machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

FOLDERS = re.compile(r"(^|=)(~[^/\\]*[/\\]|[A-Za-z]:[/\\]|/|\\\\)(.*[/\\])?(?=[^/\\])", re.DOTALL)
WITHIN = re.compile(r"(?<![\w./~])(?:~\w*)?/(?:[^\s/'\"<>]+/)+(?=[^\s/'\"<>])")  # a sentence, or a command
WITHIN_WINDOWS = re.compile(r"(?<!\w)(?:[A-Za-z]:|\\\\[^\s\\'\"<>]+)[\\/](?:[^\s\\/'\"<>]+[\\/])*(?=[^\s\\/'\"<>])")
DEVICES = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:\..*)?", re.IGNORECASE | re.DOTALL)
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')  # in names of files on Windows
LONGEST_NAME = 255  # UTF-16 units of NTFS


def without_folders(word: str) -> str:
    """Return a path, or an option with one, without its folders where it is absolute: `--data=/a/b` → `--data=b`."""
    return FOLDERS.sub(r"\1", word)


def without_places(text: str, places: Iterable[Path] = ()) -> str:
    """Return a text without the `places`, folders that it may name, and as far as can be told without any other."""
    if "/" not in text and "\\" not in text:
        return text
    for place in sorted({str(place) for place in places}, key=len, reverse=True):
        if len(Path(place).parts) > 1:
            text = text.replace(f"{place}/", "").replace(f"{place}\\", "").replace(place, Path(place).name)
    return WITHIN.sub("", WITHIN_WINDOWS.sub("", text))


def why_not_on_windows(name: str) -> str:
    """Return why no file or folder can have this name on Windows, as the end of a sentence; "" where one can.

    What lies under such a name could not be copied there.
    """
    if found := FORBIDDEN.search(name):
        return f"with '{found[0]}' in it" if found[0].isprintable() else "with such a character in it"
    if DEVICES.fullmatch(name):
        return "which is that of a device"
    if name.endswith((".", " ")):
        return "that ends in a dot or a space"
    return "which is too long" if len(name.encode("utf-16-le", "surrogatepass")) // 2 > LONGEST_NAME else ""


def for_windows(name: str) -> str:
    """Return the name as Windows can have it: what it forbids is a hyphen."""
    tidy = FORBIDDEN.sub("-", name).rstrip(". ")
    first, dot, rest = tidy.partition(".")
    return f"{first.rstrip()}-{dot}{rest}" if DEVICES.fullmatch(tidy) else tidy
