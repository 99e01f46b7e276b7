"""Slides → a folder of tiles and its table, whole or not at all.

Tiles are gathered in a draft folder within the folder that is asked for, which no command looks into, and moved to
their places when all are there. The table comes last: a folder without it was not finished.
"""

from __future__ import annotations

import io
import itertools
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from cass_cli.csv_cells import CellWriter
from cass_cli.data.layouts.columns import TILE_COLUMNS
from cass_cli.data.slides.found import find_slides
from cass_cli.data.slides.reader import Slide, opened
from cass_cli.engine.tiling.plan import Cut, SlidePlan, plan_slides
from cass_cli.engine.tiling.table import Told, told_of
from cass_cli.errors import ConfigError, RunError
from cass_cli.files import draft_of, is_draft, remove, sweep, telling, whole_text
from cass_cli.words import shown, shown_list

TABLE = "tiles.csv"
FORMATS: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 3},  # 7 % larger than level 6, in a third of the time
    "jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},  # 4:4:4: stains differ in colour
}
AHEAD = 4  # tiles a thread may be ahead of the one that is waited for
ELSEWHERE = "Choose another --out."

Progress = Callable[[str, int, int], None]  # what is done, how much, of how much


@dataclass(frozen=True)
class TileRequest:
    """What `cass tile` was asked for."""

    slides: Sequence[Path]
    out: Path
    cut: Cut
    table: Path | None = None
    format: str = "png"
    overwrite: bool = False
    workers: int = 1


@dataclass(frozen=True)
class Tiled:
    """What came of it."""

    out: Path
    cut: Cut
    plans: tuple[SlidePlan, ...]
    told: Told
    seconds: float  # of writing

    @property
    def tiles(self) -> int:
        """Return how many tiles were written."""
        return sum(len(plan.places) for plan in self.plans)


def tile_job(request: TileRequest, on_progress: Progress) -> Tiled:
    """Write the tiles of the slides and their table.

    Raises `CassError`: then `out` is as it was, unless the finished tiles themselves could not be moved into it.
    """
    slides = find_slides(request.slides)
    told = told_of(slides, request.table)
    out = request.out.expanduser()
    _check_out(out, slides, request.overwrite)
    looked = partial(on_progress, "Looking at slides")
    plans = plan_slides(slides, request.cut, workers=request.workers, on_progress=looked)
    began = time.monotonic()
    with _draft_in(out) as draft:
        total = sum(len(plan.places) for plan in plans)
        written = itertools.count(1)
        _write_tiles(plans, request, draft, lambda: on_progress("Tiles", next(written), total))
        _write_table(draft / TABLE, plans, told, request.format)
        _put_in_place(draft, out)
    return Tiled(out, request.cut, tuple(plans), told, time.monotonic() - began)


def file_of(slide: str, x: int, y: int, ending: str) -> str:
    """Return where a tile lies in the folder."""
    return f"{slide}/{slide}_x{x}_y{y}.{ending}"


def _write_tiles(plans: Sequence[SlidePlan], request: TileRequest, draft: Path, on_tile: Callable[[], None]) -> None:
    """Write every tile, and call `on_tile` after each."""
    for plan in plans:
        if not plan.places:
            continue
        with telling(draft, ELSEWHERE):
            (draft / plan.name).mkdir()
        with opened(plan.path) as slide:
            write = partial(_write_tile, slide, plan, request, draft)
            pool = ThreadPoolExecutor(request.workers, thread_name_prefix="cass-tile")  # OpenSlide frees Python's lock
            try:
                places = iter(plan.places)
                waiting = deque(pool.submit(write, place) for place in islice(places, AHEAD * request.workers))
                while waiting:
                    waiting.popleft().result()
                    waiting.extend(pool.submit(write, place) for place in islice(places, 1))
                    on_tile()
            finally:  # nobody reads a slide that is closed, or writes into a draft that is gone
                pool.shutdown(cancel_futures=True)


def _write_tile(slide: Slide, plan: SlidePlan, request: TileRequest, draft: Path, place: tuple[int, int]) -> None:
    tile = slide.tile(*place, plan.extent, request.cut.size)
    encoded = io.BytesIO()
    tile.save(encoded, **FORMATS[request.format])
    path = draft / file_of(plan.name, *place, request.format)
    with telling(path, ELSEWHERE):
        path.write_bytes(encoded.getbuffer())


def _write_table(path: Path, plans: Sequence[SlidePlan], told: Told, ending: str) -> None:
    with whole_text(path, hint=ELSEWHERE) as file:
        writer = CellWriter(file)
        writer.writerow([*TILE_COLUMNS, *told.columns])
        for plan in plans:
            more = told.cells.get(plan.name, ())
            for x, y in plan.places:
                image = file_of(plan.name, x, y, ending)
                writer.writerow([image, plan.name, told.patients[plan.name], x, y, *more])


def _check_out(out: Path, slides: dict[str, Path], overwrite: bool) -> None:
    """Raise where `out` cannot be, or must not be, what the tiles are written into."""
    if out.exists() and not out.is_dir():
        raise RunError(f"{shown(str(out))} is a file, not a folder.", hint=ELSEWHERE)
    inside = [path for path in slides.values() if path.resolve().is_relative_to(out.resolve())]
    if inside:
        raise ConfigError(
            f"The tiles would lie among the slides: {shown(str(inside[0]))} is in {shown(str(out))}.", hint=ELSEWHERE
        )
    if not out.is_dir():
        return
    with telling(out, ELSEWHERE):
        held = [path.name for path in out.iterdir() if not is_draft(path)]
    if held and not overwrite:
        raise RunError(
            f"{shown(str(out))} is not empty: it holds {shown_list(sorted(held), 3)}.",
            hint=f"{ELSEWHERE[:-1]}, or replace the tiles there with --overwrite.",
        )
    if (out / TABLE).is_dir() and not (out / TABLE).is_symlink():
        raise RunError(f"{shown(str(out / TABLE))} is a folder, not a table.", hint=f"Move it away. {ELSEWHERE}")
    for name in slides:
        if (out / name).is_symlink() or ((out / name).exists() and not (out / name).is_dir()):
            what = f"{shown(str(out / name))} is a link or a file, not a folder of tiles."
            raise RunError(what, hint=f"Move it away. {ELSEWHERE}")
        others = [path.name for path in _files(out / name) if not _is_tile(path)]
        if others:
            raise RunError(
                f"{shown(str(out / name))} holds what is no tile: {shown_list(sorted(others), 3)}.",
                hint=f"Move it away. {ELSEWHERE}",
            )


@contextmanager
def _draft_in(out: Path) -> Iterator[Path]:
    """Make `out` and a draft folder in it, which is gone afterwards, and `out` too if it was made and is empty."""
    new = not out.exists()
    with telling(out, ELSEWHERE):
        out.mkdir(parents=True, exist_ok=True)
        sweep(out)
        draft = draft_of(out / "tiles")
        draft.mkdir()
    try:
        yield draft
    finally:
        remove(draft)
        if new:
            with suppress(OSError):  # it holds the tiles
                out.rmdir()


def _put_in_place(draft: Path, out: Path) -> None:
    """Move what is in the draft to `out`, in the place of the tiles of an earlier command; nothing else is touched."""
    remove(out / TABLE)
    with telling(out, ELSEWHERE):
        for folder in [path for path in out.iterdir() if path.is_dir() and path != draft]:
            old = [path for path in _files(folder) if _is_tile(path)]
            for path in old:
                path.unlink()
            if old:
                with suppress(OSError):  # it holds something else
                    folder.rmdir()
        for folder in [path for path in draft.iterdir() if path.is_dir()]:
            folder.rename(out / folder.name)
        (draft / TABLE).rename(out / TABLE)


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []


def _is_tile(path: Path) -> bool:
    """Whether a file lies and is called as tiles are."""
    return bool(re.fullmatch(re.escape(path.parent.name) + r"_x\d+_y\d+\.(?:png|jpg)", path.name)) and path.is_file()
