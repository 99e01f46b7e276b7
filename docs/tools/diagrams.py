"""Mermaid's flowcharts, drawn as SVG: GitHub draws them itself, the site must do without a script from a network.

Reads what docs/architecture.md uses: `flowchart LR` or `TD`, and lines of boxes joined by `-->`, where a box is a name,
or a name and a label in `["…"]`. A box stands as far along as the longest way that leads to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from itertools import pairwise

MERMAID = re.compile(r"^```mermaid\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BOX = re.compile(r'\s*(\w+)(?:\["(.+)"\])?\s*')
LETTER, LINE, INSET, GAP = 7.2, 18, 12, 34  # widths and heights in pixels
LONGEST = 17  # letters in a line of a label


@dataclass(frozen=True)
class Box:
    """One box of a drawing: its lines of text, and where its centre is."""

    lines: list[str]
    x: float = 0.0
    y: float = 0.0

    @property
    def width(self) -> float:
        return max(map(len, self.lines)) * LETTER + 2 * INSET

    @property
    def height(self) -> float:
        return len(self.lines) * LINE + INSET


def with_drawings(text: str) -> str:
    """Return the Markdown `text` with each flowchart as an SVG."""
    return MERMAID.sub(lambda match: drawing(match.group(1)), text)


def drawing(flowchart: str) -> str:
    """Return the SVG of one flowchart, on one line, as Markdown takes it for HTML."""
    kind, *lines = flowchart.strip().splitlines()
    labels, arrows = _read(lines)
    across = kind.split()[1] == "LR"
    boxes = _placed({name: _wrapped(label) for name, label in labels.items()}, _depths(labels, arrows), across)
    width = max(box.x + box.width / 2 for box in boxes.values()) + 2
    height = max(box.y + box.height / 2 for box in boxes.values()) + 2
    drawn = [_arrow(boxes[one], boxes[two], across) for one, two in arrows] + [_box(box) for box in boxes.values()]
    told = escape("; ".join(f"{labels[one]} → {labels[two]}" for one, two in arrows), quote=True)
    return (
        f'<div class="flow"><svg viewBox="0 0 {width:.0f} {height:.0f}" style="max-width:{width:.0f}px" role="img" '
        f'aria-label="{told}"><defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z"/></marker></defs>'
        f"{''.join(drawn)}</svg></div>"
    )


def _read(lines: list[str]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return the label of each box, and the arrows."""
    labels: dict[str, str] = {}
    arrows: list[tuple[str, str]] = []
    for line in lines:
        found = [BOX.fullmatch(part) for part in line.split("-->")]
        if not all(found):
            raise ValueError(f"no line of a flowchart that can be drawn: {line}")
        names = [match.group(1) for match in found if match]
        labels |= {
            match.group(1): match.group(2) or labels.get(match.group(1), match.group(1)) for match in found if match
        }
        arrows += pairwise(names)
    return labels, arrows


def _depths(labels: dict[str, str], arrows: list[tuple[str, str]]) -> dict[str, int]:
    depths = dict.fromkeys(labels, 0)
    for _ in labels:
        for one, two in arrows:
            depths[two] = max(depths[two], depths[one] + 1)
    return depths


def _wrapped(label: str) -> list[str]:
    lines = [""]
    for word in label.split():
        if lines[-1] and len(lines[-1]) + len(word) >= LONGEST:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _placed(texts: dict[str, list[str]], depths: dict[str, int], across: bool) -> dict[str, Box]:
    """Return the boxes where they belong: a rank a depth, each rank centred."""
    ranks = [[Box(texts[name]) for name in texts if depths[name] == depth] for depth in range(max(depths.values()) + 1)]
    along = [max(box.width if across else box.height for box in rank) for rank in ranks]
    beside = [sum((box.height if across else box.width) + GAP / 2 for box in rank) - GAP / 2 for rank in ranks]
    placed: dict[int, list[tuple[float, float]]] = {}
    start = 2.0
    for depth, rank in enumerate(ranks):
        at = 2 + (max(beside) - beside[depth]) / 2
        for box in rank:
            size = box.height if across else box.width
            centre = (start + along[depth] / 2, at + size / 2)
            placed.setdefault(depth, []).append(centre if across else centre[::-1])
            at += size + GAP / 2
        start += along[depth] + GAP
    turns = {depth: iter(points) for depth, points in placed.items()}
    return {name: Box(lines, *next(turns[depths[name]])) for name, lines in texts.items()}


def _arrow(one: Box, two: Box, across: bool) -> str:
    if across:
        x1, y1, x2, y2 = one.x + one.width / 2, one.y, two.x - two.width / 2, two.y
        bend = f"{(x1 + x2) / 2:.0f} {y1:.0f} {(x1 + x2) / 2:.0f} {y2:.0f}"
    else:
        x1, y1, x2, y2 = one.x, one.y + one.height / 2, two.x, two.y - two.height / 2
        bend = f"{x1:.0f} {(y1 + y2) / 2:.0f} {x2:.0f} {(y1 + y2) / 2:.0f}"
    return f'<path class="arrow" d="M{x1:.0f} {y1:.0f}C{bend} {x2:.0f} {y2:.0f}" marker-end="url(#tip)"/>'


def _box(box: Box) -> str:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    lines = "".join(
        f'<text x="{box.x:.0f}" y="{top + INSET / 2 + (i + 0.72) * LINE:.0f}">{escape(line)}</text>'
        for i, line in enumerate(box.lines)
    )
    return f'<rect x="{left:.0f}" y="{top:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" rx="5"/>{lines}'
