"""What mkdocs calls while it builds the site (`hooks` in mkdocs.yml): pages from outside `docs/`, and filled-in lines.

README, CONTRIBUTING, CHANGELOG and SECURITY are pages where they lie. Whatever a page links to is on the site too, so
that it can be read without a network. Lines such as `[Table: answers](PATH)` become what `fill.py` makes of that file.
"""

from __future__ import annotations

from typing import Any

from mkdocs.structure.files import File, Files

from docs.tools.diagrams import with_drawings
from docs.tools.fill import filled
from docs.tools.places import COPIED, PAGES, REPO, links, place, relinked

SOURCES: dict[str, str] = {}
"""Site path → path in the repository, of every page."""


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages that lie elsewhere, and every file that is linked to."""
    pages = [file for file in files if file.is_documentation_page()]
    SOURCES.update({file.src_uri: f"docs/{file.src_uri}" for file in pages})
    waiting = [*PAGES, *SOURCES.values()]
    known = set(SOURCES.values())
    while waiting:
        source = waiting.pop()
        if source not in known:
            known.add(source)
            _add(files, source, config)
        if source.endswith(".md"):
            text = (REPO / source).read_text(encoding="utf-8")
            waiting += [path for path in links(text, source) if path not in known and not path.startswith("docs/")]
    return files


def _add(files: Files, source: str, config: Any) -> None:
    path = REPO / source
    if not path.exists():
        return  # mkdocs tells of the link
    if path.suffix in COPIED:
        files.append(File.generated(config, place(source), abs_src_path=str(path)))
        return
    if path.is_dir():
        content = f"# {source}\n\n" + "".join(f"- `{each.name}`\n" for each in sorted(path.iterdir()))
    elif path.suffix == ".md":
        content = path.read_text(encoding="utf-8")
    else:
        language = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml"}.get(path.suffix, "text")
        content = f"# {source}\n\n````{language}\n{path.read_text(encoding='utf-8')}````\n"
    SOURCES[place(source)] = source
    files.append(File.generated(config, place(source), content=content))


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Fill a page's lines in, and turn its links."""
    source = SOURCES[page.file.src_uri]
    if page.file.src_uri.startswith("files/"):
        page.meta["search"] = {"exclude": True}
        if not source.endswith(".md"):
            return markdown
    if page.file.src_uri == "index.md":
        page.meta["hide"] = ["navigation", "toc"]
    return with_drawings(relinked(filled(markdown, source), source))
