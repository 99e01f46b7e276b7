"""Pictures on the disk."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cass_cli.files import whole_file


def write_picture(figure: Figure, path: Path, *, dpi: int) -> None:
    """Write the figure to `path`, in the format that its ending names: whole or not at all."""
    FigureCanvasAgg(figure)
    with whole_file(path, durable=False) as file:
        figure.savefig(file, format=path.suffix[1:], dpi=dpi, bbox_inches="tight")


def svg_of(figure: Figure) -> bytes:
    """Return the figure as an SVG, in memory."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", bbox_inches="tight")
    return file.getvalue()
