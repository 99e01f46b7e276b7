"""Where a file of the repository lies on the site, and links that lead there from either.

On GitHub a link from one file to another is a relative path. The site has every file that a page links to: pages of
`docs/` at its top, README, CONTRIBUTING, CHANGELOG and SECURITY as pages, anything else below `files/`. So one link
serves both, and nothing on the site leads out of it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).parents[2]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
COPIED = {".json", ".png", ".csv", ".svg"}
"""Files that a browser shows, or saves, as they are; other files become a page that shows their text."""

LINK = re.compile(r"(?<=\]\()(?!\w+:|#|/)([^)#\s]+)(#[^)\s]*)?(?=\))")
FENCE = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2 *$", re.DOTALL | re.MULTILINE)


def place(path: str) -> str:
    """Return the site's source path of the file or folder `path`, both with slashes and without a leading one."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if (REPO / path).is_dir():
        return f"files/{path}/index.md"
    if Path(path).suffix == ".md":  # a README would become the index of its folder
        return f"files/{posixpath.dirname(path)}/{posixpath.basename(path).lower()}"
    return f"files/{path}" if Path(path).suffix in COPIED else f"files/{path}.md"


def links(text: str, source: str) -> Iterator[str]:
    """Yield what the Markdown `text` of the file `source` links to within the repository, as paths in it."""
    for match in LINK.finditer(FENCE.sub("", text)):
        yield _target(match, source)


def relinked(text: str, source: str) -> str:
    """Return the Markdown `text` of the file `source` with its links as they are on the site."""
    home = posixpath.dirname(place(source))

    def there(match: re.Match[str]) -> str:
        return posixpath.relpath(place(_target(match, source)), home or ".") + (match.group(2) or "")

    def prose(part: str) -> str:
        return LINK.sub(there, part)

    kept = FENCE.finditer(text)
    parts, end = [], 0
    for fence in kept:
        parts += [prose(text[end : fence.start()]), fence.group()]
        end = fence.end()
    return "".join([*parts, prose(text[end:])])


def _target(match: re.Match[str], source: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), match.group(1)))
