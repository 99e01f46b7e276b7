"""Which level of folders names the classes."""

from __future__ import annotations

from collections.abc import Sequence

from cass_cli.data.layouts.levels import no_class
from cass_cli.data.layouts.tree import Tree
from cass_cli.data.layouts.vocabulary import names_finding, tokens
from cass_cli.errors import DataError
from cass_cli.words import shown, shown_list

NEARLY_ALL = 0.95  # of the images must lie as deep as the folders that name their classes


def class_depth(tree: Tree, forced: bool) -> int | None:
    """Return the depth whose folders name the classes, None for none: see `folders.read_folders`."""
    likely = _candidates(tree)
    classes = [d for d in likely if tree.kinds[d] == "class"]
    if not classes:
        unclear = [d for d in likely if tree.kinds[d] == "unclear"]
        if forced:
            return unclear[-1] if unclear else next((d for d in sorted(tree.kinds) if tree.at(d)), None)
        if unclear and tree.told is None:
            raise _unclear(tree, unclear[-1])
        _check_cases(tree, None)
        views = [d for d, kind in tree.kinds.items() if kind == "view"]
        if views and tree.told is None and not forced:
            raise _unclear(tree, views[0])
        return None
    chosen = classes[-1]
    telling = [d for d in classes if _tells_findings(tree, d)]
    if telling and chosen not in telling:  # what lies below are cases, or ways of taking a picture
        chosen = telling[-1]
    for depth in (d for d in classes if d != chosen):
        others = shown_list(sorted(tree.at(depth)), 4)
        where = "above" if depth < chosen else "below"
        tree.notes.append(
            f"The folders {others} are {where} the classes; --class-level {depth + 1} would take them as the classes."
        )
    if not forced:
        _check_numbers(tree, classes, chosen)
        _check_cases(tree, chosen)
        _check_deeper(tree, chosen)
    return chosen


def _candidates(tree: Tree) -> list[int]:
    """Return the depths that could name classes: at least two names, and (nearly) every image lies that deep."""
    judged = [i for i in range(len(tree.paths)) if i not in tree.out and (not tree.splits or tree.splits[i] == "train")]
    depths: list[int] = []
    share = 0.5  # of all images; what lies beside the first such folders is left out
    for depth in sorted(tree.kinds):
        deep = [i for i in judged if len(tree.paths[i]) > depth]
        if len(deep) < share * len(judged) or tree.kinds[depth] not in ("class", "unclear"):
            continue
        if len({name for name in tree.at(depth) if not no_class(name)}) < 2 or _adds_nothing(tree, depths, depth):
            continue
        depths.append(depth)
        judged, share = deep, NEARLY_ALL
    return depths


def _adds_nothing(tree: Tree, above: Sequence[int], depth: int) -> bool:
    """True where each folder of the level above holds but one at `depth`."""
    if not above:
        return False
    pairs = {(tree.paths[i][above[-1]], tree.paths[i][depth]) for i in tree.inside(depth)}
    return len(pairs) == len({upper for upper, _ in pairs})


def _tells_findings(tree: Tree, depth: int) -> bool:
    folders = tree.at(depth)
    return 2 * sum(names_finding(name) for name in folders) >= len(folders)


def _unclear(tree: Tree, depth: int) -> DataError:
    folders = shown_list(sorted(tree.at(depth)), 4)
    why = "differ only by a number" if tree.kinds[depth] == "unclear" else "may tell how the pictures were taken"
    return DataError(
        f"The folders {folders} {why}: they may be classes, or parts of one set of images.",
        hint=f"If each is a class: --class-level {depth + 1}. If not: --layout flat, or name a table with --labels.",
    )


def _check_numbers(tree: Tree, classes: Sequence[int], chosen: int) -> None:
    """Raise where bare numbers lie below folders with words: grades at several places, or sessions of classes."""
    upper = [d for d in classes if d < chosen]
    bare = all(name.isdecimal() for name in tree.at(chosen))
    if upper and bare and not all(name.isdecimal() for name in tree.at(upper[-1])):
        raise DataError(
            f"The classes may be the folders {shown_list(sorted(tree.at(upper[-1])), 4)}, or the numbers below them "
            f"({shown_list(sorted(tree.at(chosen)), 4)}).",
            hint=f"Choose: --class-level {upper[-1] + 1}, or --class-level {chosen + 1}.",
        )


def _check_deeper(tree: Tree, chosen: int) -> None:
    """Raise where folders further down tell findings, which the chosen ones do not, but not every image lies there."""
    images = len(tree.inside(chosen))
    for depth in (d for d, kind in tree.kinds.items() if d > chosen and kind == "class"):
        findings = [name for name in tree.at(depth) if names_finding(name)]
        if findings and 2 * len(tree.inside(depth)) > images and not _tells_findings(tree, chosen):
            raise DataError(
                f"The classes may be the folders {shown_list(sorted(tree.at(chosen)), 4)}, or further down "
                f"{shown_list(sorted(tree.at(depth)), 4)}.",
                hint=f"Choose: --class-level {chosen + 1}, or --class-level {depth + 1}.",
            )


def _check_cases(tree: Tree, chosen: int | None) -> None:
    """Raise where folders of cases bear a finding in their names, as `study1_negative`: that may be the label."""
    for depth, kind in tree.kinds.items():
        findings = {word for name in tree.at(depth) for word in tokens(name) if names_finding(word)}
        told = chosen is not None and (depth < chosen or _tells_findings(tree, chosen))
        if kind in ("case", "person") and len(findings) > 1 and not told:
            what, how = "", "--layout flat"
            if chosen is not None:
                what, how = f"the folders {shown_list(sorted(tree.at(chosen)), 4)}, or ", f"--class-level {chosen + 1}"
            raise DataError(
                f"The classes may be {what}what names such as {shown(min(tree.at(depth)))} tell "
                f"({shown_list(sorted(findings))}).",
                hint=f"For what names tell, write a table of image and label, and name it with --labels. Else: {how}.",
            )


def named_depth(tree: Tree, level: int) -> int:
    """Return the depth of the level that --class-level names; raises `DataError` where no folder is that deep."""
    if not tree.at(level - 1):
        deepest = max(map(len, tree.paths), default=0)
        raise DataError(
            f"There are no folders on level {level}.",
            hint=f"--class-level counts from 1, the folders in the root; the deepest here is {deepest}.",
        )
    return level - 1
