"""What `cass card` writes and shows: a model card and reporting checklists, as Markdown and JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.text import Text

from cass_cli import __version__
from cass_cli.errors import RunError
from cass_cli.files import write_json, write_text
from cass_cli.places import without_places
from cass_cli.reports.card_facts import card_facts
from cass_cli.reports.card_known import Known
from cass_cli.reports.checklists import BLANK, Checklist, fill, lines
from cass_cli.reports.html import setting_text
from cass_cli.reports.model_card import BY_AUTHORS, GENERATOR, Said, card_lines, places, saying
from cass_cli.reports.printing import Screen, print_json, print_sentence
from cass_cli.runs.facts import CARD
from cass_cli.runs.trials import method_name

NAMES = (CARD, "checklist-tripod-ai.md", "checklist-claim.md", "checklist-stard.md")
DATA = f"{Path(CARD).stem}.json"
MARK = "<!-- cass card"  # by which a file is known from other people's; beside it stands a digest, by which from edited
JSON_MARK = '"generator": "cass card'
MARK_WITHIN = 100  # characters from the beginning


def write_card(known: Known, folder: Path) -> list[Path]:
    """Write card and checklists into `folder`, and return their paths; what others wrote or changed there is kept."""
    facts = card_facts(known)
    filled = fill(facts)
    said = saying(known)
    texts = {CARD: card_lines(known, facts, said)}
    texts |= {f"checklist-{name}.md": lines(_said(of, said), GENERATOR) for name, of in filled.items()}
    assert tuple(texts) == NAMES
    files, data = [folder / name for name in NAMES], folder / DATA
    for path in (*files, data):
        check_replaceable(path)
    for path, text in zip(files, texts.values(), strict=True):
        write_text(path, _marked("\n".join(text).rstrip() + "\n"))
    write_json(data, _plainly(as_dict(known, facts, filled), places(known)))
    return [*files, data]


def check_replaceable(path: Path) -> None:
    """Raise `RunError` unless `path` is free or holds a file of `cass card` that is as it was written.

    What authors have filled in is theirs.
    """
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    mark, _, rest = text.partition("\n")
    own = JSON_MARK in text[:MARK_WITHIN] if path.suffix == ".json" else text == _marked(rest, mark)
    if not own:
        why = "was changed since cass card wrote it" if mark.startswith(MARK) else "is no file of cass card"
        raise RunError(
            f"{path} exists, and {why}, so it is not overwritten.", hint="Move it, or name another folder with --out."
        )


def _marked(text: str, mark: str = "") -> str:
    """Return a file's text under its mark: the version, here or of an older `mark`, and a digest of what follows."""
    version = (mark.removeprefix(MARK).split() or [__version__])[0]
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"{MARK} {version} {digest} -->\n{text}"


def as_dict(known: Known, facts: Mapping[str, str], filled: Mapping[str, Checklist]) -> dict[str, Any]:
    """Return plain JSON values."""
    summary, found = known.tuned.summary, known.tuned.evaluations
    return {
        "generator": GENERATOR,
        "run": known.facts.name,
        "fine_tuning": known.tuning.name,
        "method": method_name(summary),
        "label_fraction": summary.fraction,
        "seed": summary.seed,
        "arms": {
            name: {"model": arm.model, "began_with": arm.weights, "kept": arm.kept}
            for name, arm in summary.arms.items()
        },
        "image_size": known.side,
        "classes": list(summary.classes),
        "multilabel": summary.multilabel,
        "judgement": summary.judgement.as_dict(),
        "flow": known.flow.as_dict(),
        "images_by_class": {name: dict(of) for name, of in known.images.class_counts.items()},
        "subgroups": dict(known.subgroups),
        "settings": {key: setting_text(value) for key, value in known.settings.items()},
        "commands": list(known.facts.commands),
        "environment": {k: v for k, v in (known.environment or {}).items() if k not in ("command", "platform")},
        "device": known.facts.device,
        "scores": {
            split: {name: of["metrics"] for name, of in each["scores"].items()} for split, each in found.items()
        },
        "not_measured": "" if known.evaluation else known.not_measured,
        "known": dict(facts),
        "to_be_filled_in": dict(BY_AUTHORS),
        "checklists": {name: of.as_dict() for name, of in filled.items()},
    }


def _said(checklist: Checklist, said: Said) -> Checklist:
    return replace(checklist, items=tuple(replace(item, known=said(item.known)) for item in checklist.items))


def _plainly(value: Any, places: Collection[Path]) -> Any:
    """Return JSON values without folders of this machine."""
    if isinstance(value, str):
        return without_places(value, places)
    if isinstance(value, Mapping):
        return {_plainly(str(key), places): _plainly(of, places) for key, of in value.items()}
    if isinstance(value, tuple | list):
        return [_plainly(of, places) for of in value]
    return value


def show_card(known: Known, files: Sequence[Path], *, as_json: bool) -> None:
    """Say which files were written, what is still to be measured, and what the authors have to fill in."""
    filled = fill(card_facts(known))
    blanks = {of.name: sum(bool(item.blank) for item in of.items) for of in filled.values()}
    if as_json:
        measured = known.evaluation is not None
        told = {"trial": known.tuned.trial.path, "files": files, "measured": measured, "to_be_filled_in": blanks}
        print_json({**told, "damaged": known.facts.damaged})
        return
    console = Screen(soft_wrap=True)
    console.print("Written:")
    for path in files:
        console.print(Text(f"  {path}", style="cyan"))
    waiting = ", ".join(f"{of.name} {blanks[of.name]} of {len(of.items)}" for of in filled.values())
    print_sentence(console, f"Items that wait for you: {waiting}. Look for “{BLANK}”.")
    for said in known.facts.damaged:
        console.print(Text(f"• {said} The card is made without it.", style="yellow"))
    if known.evaluation is None:
        console.print(Text(known.not_measured, style="yellow"))
    if not known.tuned.pages:
        console.print(Text(f"No page of wrong answers: {known.command('errors')}", style="dim"))
