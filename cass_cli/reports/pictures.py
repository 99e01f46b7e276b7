"""Pictures on the disk, and what their text says: names as they stand."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import IO, Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogFormatter

from cass_cli.files import whole_file
from cass_cli.words import printable

LONGEST_NAME = 24
POINTS = 72  # an inch, which vector formats are drawn in
PAD = 0.1  # inches of white around what is drawn
NO_FONT = r"Glyph|Matplotlib currently does not support"  # how warnings begin of scripts, which are drawn as boxes


def drawn(name: str, longest: int = LONGEST_NAME) -> str:
    """Return a name as it is drawn: on one line, cut short, and not hidden from a legend by its '_'."""
    line = printable(" ".join(name.split()))
    line = line if len(line) <= longest else line[: longest - 1] + "…"
    return f"\u200a{line}" if line.startswith("_") else line


def write_picture(figure: Figure, path: Path, *, dpi: int) -> None:
    """Write the figure to `path`, in the format that its ending names: whole or not at all."""
    FigureCanvasAgg(figure)
    with whole_file(path, durable=False) as file:
        _save(figure, file, format=path.suffix[1:], dpi=dpi)


def svg_of(figure: Figure) -> bytes:
    """Return the figure as an SVG, in memory."""
    file = io.BytesIO()
    _save(figure, file, format="svg")
    return file.getvalue()


def _save(figure: Figure, file: IO[bytes], **how: Any) -> None:
    """Write the figure, with no text taken for a formula but the powers of ten that Matplotlib writes at an axis.

    What is drawn is laid out here, once, and the paper cut to it. Matplotlib's own `bbox_inches="tight"` comes to the
    same after having drawn everything a second time.
    """
    powers = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        if isinstance(axis.get_major_formatter(), LogFormatter)
        for label in axis.get_ticklabels(which="both")
    }
    for text in figure.findobj(Text):
        if isinstance(text, Text) and text not in powers:
            text.set_parse_math(False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=NO_FONT)
        figure.dpi = how.get("dpi", POINTS)  # before the layout: letters have whole pixels
        if figure.axes and (engine := figure.get_layout_engine()):
            engine.execute(figure)
            figure.set_layout_engine(None)
        figure.savefig(file, bbox_inches=figure.get_tightbbox().padded(PAD), **how)
