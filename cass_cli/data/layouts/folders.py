"""Labels, groups and splits that folder names tell, level by level; Dermofit's case folders."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from cass_cli.data.layouts.cells import merge_spellings
from cass_cli.data.layouts.class_depth import class_depth, named_depth
from cass_cli.data.layouts.levels import no_class
from cass_cli.data.layouts.records import Records
from cass_cli.data.layouts.tree import Tree, grow
from cass_cli.words import count, shown, shown_list

PATIENT_FOLDERS, CASE_FOLDERS = "patient folders", "case folders"


def read_folders(
    names: Sequence[str], *, unread: Sequence[str] = (), class_level: int | None = None, forced: bool = False
) -> Records | None:
    """Read what the folders of the image paths `names` tell; None where they tell no classes.

    The deepest level that labels (nearly) all images is the class: folders that wrap, split, number the parts of an
    archive, or tell how a picture was taken are none, and those of patients and cases are groups. `class_level` (1: the
    folders in the root) names it instead; `forced` takes the likeliest level, be it a single folder. `unread` are files
    in formats that are not read: a class of nothing else is `lost`. Raises `DataError` where folders may be two things.
    """
    named = None if class_level is None else class_level - 1
    tree = grow(names, unread, named=named, doubting=not forced and named is None)
    depth = class_depth(tree, forced) if class_level is None else named_depth(tree, class_level)
    if depth is None and tree.told is None:
        return None
    return _records(names, tree, depth)


def read_flat(names: Sequence[str]) -> Records:
    """Take every image as unlabelled; folders still give splits and groups."""
    tree = grow(names)
    kept = [i for i in range(len(names)) if i not in tree.out]
    return Records(
        names=[names[i] for i in kept],
        splits=None if tree.splits is None else [tree.splits[i] for i in kept],
        groups=(grouped := _groups(tree, kept, None))[0],
        groups_by=grouped[1],
        left_out=[(names[i], reason) for i, reason in sorted(tree.out.items())],
        notes=[
            "Layout: a folder of images without labels.",
            *tree.notes,
            *_level_notes(tree),
            *_left_out_notes(names, tree),
        ],
    )


def _records(names: Sequence[str], tree: Tree, depth: int | None) -> Records:
    """Return the images that lie in a class folder, and what is known of each."""
    labels: list[str] = []
    several = len(tree.at(depth or 0)) > 2
    for i, path in enumerate(tree.paths):
        name = path[depth] if depth is not None and len(path) > depth else ""
        label = tree.told[i] if tree.told and depth is None else name
        labels.append(label)
        if i not in tree.out and (not label or (several and no_class(label))):
            tree.out[i] = "outside the class folders"
    merged, respelled = merge_spellings([(label,) for label in labels])
    labels = [label for (label,) in merged]
    kept = [i for i in range(len(names)) if i not in tree.out]
    classes = {labels[i] for i in kept}
    held = Counter(labels[i] for i in kept)
    unread = Counter(labels[i] for i in range(len(names), len(tree.paths)) if i not in tree.out)
    lost = sorted(name for name, n in unread.items() if name and n >= held[name])
    kind = "class folders" if tree.splits is None else "class folders in split folders"
    around = "/".join(tree.paths[kept[0]][: depth or 0]) if kept else ""
    where = f" under {shown(around)}" if _wraps(tree, depth or 0) else ""
    return Records(
        names=[names[i] for i in kept],
        labels=[(labels[i],) for i in kept],
        splits=None if tree.splits is None else [tree.splits[i] for i in kept],
        groups=(grouped := _groups(tree, kept, depth))[0],
        groups_by=grouped[1],
        lost=tuple(lost),
        left_out=[(names[i], reason) for i, reason in sorted(tree.out.items()) if i < len(names)],
        notes=[
            f"Layout: {kind}{where} ({count(len(classes), 'class', 'classes')}).",
            *tree.notes,
            *respelled,
            *_level_notes(tree),
            *_left_out_notes(names, tree),
        ],
    )


def _wraps(tree: Tree, depth: int) -> bool:
    return depth > 0 and all(tree.kinds.get(d) == "wrapper" for d in range(depth))


def _groups(tree: Tree, kept: Sequence[int], class_depth: int | None) -> tuple[list[str] | None, str]:
    """Return (the patient or case folder of each image, what they are); (None, "") for none or single images."""
    for depth in sorted(tree.kinds):
        kind = tree.kinds[depth]
        numbered = kind == "unclear" and class_depth is not None and depth > class_depth
        if depth == class_depth or not (kind in ("person", "case") or numbered):
            continue
        groups = [_group(tree, i, depth, alone=kind == "person") for i in kept]
        sizes = Counter(group for group in groups if group)
        several = sum(size > 1 for size in sizes.values())
        if several and len(sizes) > 1:
            what = PATIENT_FOLDERS if kind == "person" else CASE_FOLDERS
            tree.notes.append(f"Grouped by {what}: {several:,} of {len(sizes):,} hold several images.")
            return groups, what
    return None, ""


def _group(tree: Tree, i: int, depth: int, *, alone: bool) -> str:
    """Return the folder at `depth`; where its name may come again elsewhere, with those above it but the splits."""
    path = tree.paths[i]
    if len(path) <= depth:
        return ""
    return path[depth] if alone else "/".join(path[d] for d in range(depth + 1) if d not in tree.split_depths)


def _level_notes(tree: Tree) -> list[str]:
    said = {"part": "parts of one set", "view": "ways of taking a picture", "unclear": "numbered cases"}
    return [
        f"The folders {shown_list(sorted(folders), 4)} are {said[kind]}, and no classes."
        for depth, kind in sorted(tree.kinds.items())
        if kind in said and len(folders := tree.at(depth)) > 1
    ]


def _left_out_notes(names: Sequence[str], tree: Tree) -> list[str]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for i, reason in sorted(tree.out.items()):
        if i < len(names):
            reasons[reason].append(names[i].rpartition("/")[0] or names[i])
    return [
        f"{count(len(where), 'image')} {reason} ({shown_list(list(dict.fromkeys(where)), 3)}): left out."
        for reason, where in reasons.items()
    ]


def read_dermofit(names: Sequence[str], *, unread: Sequence[str] = ()) -> Records | None:
    """Read Dermofit's `<class>/<case>/<image>`; the case is the group where any case holds several images."""
    level = min(name.count("/") for name in names) - 1
    records = read_folders(names, unread=unread, class_level=level) if level > 0 else None
    if records is None or records.labels is None:
        return None
    cases = [name.rpartition("/")[0] for name in records.names]
    sizes = Counter(cases)
    several = sum(size > 1 for size in sizes.values())
    notes = ["Layout: Dermofit (class folders holding one folder a case).", *records.notes[1:]]
    if several:
        notes.append(f"Grouped by case folder: {several:,} of {len(sizes):,} cases hold several images.")
    return Records(
        names=records.names,
        labels=records.labels,
        splits=records.splits,
        groups=cases if several else None,
        groups_by=CASE_FOLDERS,
        lost=records.lost,
        left_out=records.left_out,
        notes=notes,
    )


def looks_like_dermofit(names: Sequence[str]) -> bool:
    """True when every image lies at `<class>/<case>/<image>`, bears its case's name, and cases are numbered."""
    paths = [name.split("/") for name in names]
    return all(_is_case(parts) for parts in paths) and len({parts[-3] for parts in paths}) > 1


def _is_case(parts: list[str]) -> bool:
    numbered = len(parts) >= 3 and any(c.isdigit() for c in parts[-2])
    return numbered and parts[-1].lower().startswith(parts[-2].lower())


def splits_of_paths(names: Sequence[str]) -> list[str] | None:
    """Return the split that the folders of each path name, or None unless they name one for every path, and several."""
    tree = grow(names)
    return None if tree.splits is None or tree.out or len(set(tree.splits)) < 2 else tree.splits


def groups_of_paths(names: Sequence[str]) -> tuple[list[str] | None, str, list[str]]:
    """Return (the patient or case folder of each path, or None; what they are; a note that says so)."""
    tree = grow(names)
    before = len(tree.notes)
    return *_groups(tree, range(len(names)), None), tree.notes[before:]
