"""The model card of one trial as Markdown: what it is, of which data, how good, and what only its authors can say.

(The small card beside an arm's weights, by which timm loads it, is another: `models/card.py`.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cass_cli import __version__
from cass_cli.data.splits import SPLITS
from cass_cli.places import without_places
from cass_cli.reports.card_facts import MACHINE, estimate_text
from cass_cli.reports.card_known import Known
from cass_cli.reports.checklists import BLANK
from cass_cli.reports.html import places_of
from cass_cli.reports.written_table import plain
from cass_cli.runs.flow import Part
from cass_cli.runs.trials import method_name
from cass_cli.scores.metrics import METRICS
from cass_cli.words import count, label_share, printable

GENERATOR = f"cass card {__version__}"
BY_AUTHORS = {
    "Intended use": "for whom, by whom, at which point of care; and what it must not be used for",
    "Ethics and fairness": "approval, consent, groups of people who may be harmed, and what was done for them",
    "Who made it": "names, contact, licence, funding, date",
}

Said = Callable[[str], str]


def card_lines(known: Known, facts: Mapping[str, str], said: Said) -> list[str]:
    """Return the card as lines of Markdown."""
    summary = known.tuned.summary
    patients = ["known patients or lesions"] if known.flow.grouped else []
    of = f"{method_name(summary)}, {label_share(summary.fraction)}, seed {summary.seed}"
    versions = [f"{name} {value}" for name, value in (known.environment or {}).items() if name not in MACHINE]
    return [
        f"# Model card: {said(known.facts.name)}, {said(known.tuning.name)}",
        "",
        f"{GENERATOR}. {said(of)}. Everything below was read from the run; nothing was measured for it.",
        "",
        *_blank("Intended use"),
        *_told("What it is", [facts["model"], facts["ensembling"], facts["output"], facts["specification"]], said),
        *_told("Data", [facts["data"], facts["outcome"], facts["partitions"], facts["disjoint"]], said),
        *_table(["flow", "images", *patients], _flow_rows(known), said),
        *_table(["class", *SPLITS], _class_rows(known), said),
        *_told("Patients", [facts["characteristics"]], said),
        *_told("How it was made", [facts[key] for key in HOW], said),
        *(f"    {said_plainly}" for command in known.facts.commands if (said_plainly := _code(command, known))),
        "",
        *_told("How good it is", [facts["uncertainty"]], said),
        *_scores(known, said),
        *_told("", [facts["external"], facts["subgroups"], facts["failure"]], said),
        *_told("Limits", [facts["limits"], facts["bad_input"]], said),
        *_told("Versions", [*versions, known.facts.device], said, together=True),
        *_blank("Ethics and fairness"),
        *_blank("Who made it"),
    ]


HOW = ("preprocessing", "initialisation", "building", "imbalance", "selection")


def _told(heading: str, sentences: Sequence[str], said: Said, *, together: bool = False) -> list[str]:
    head = [f"## {heading}", ""] if heading else []
    if together:
        return [*head, said(", ".join(sentences)), ""]
    return [*head, *(line for sentence in sentences for line in (said(sentence), ""))]


def _blank(heading: str) -> list[str]:
    return [f"## {heading}", "", f"**{BLANK}:** {BY_AUTHORS[heading]}: …", ""]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], said: Said) -> list[str]:
    cells = ["| " + " | ".join(map(said, row)) + " |" for row in (head, *rows)]
    return [cells[0], "|---|" + "---:|" * (len(head) - 1), *cells[1:], ""]


def _flow_rows(known: Known) -> list[list[str]]:
    flow = known.flow

    def row(what: str, part: Part) -> list[str]:
        return [what, f"{part.images:,}", *([f"{part.groups:,}"] if flow.grouped else [])]

    rows = [row("found", flow.found), *(row(f"left out: {why}", part) for why, part in flow.left_out.items())]
    for split in SPLITS:
        rows.append(row(f"{split} split", flow.splits[split]))
        rows += [row(f"{split}, left out: {why}", part) for why, part in flow.excluded[split].items()]
        rows.append(row(f"{split}, used", flow.used[split]))
    return [*rows, ["training labels that the model saw", f"{flow.seen:,}", *([""] if flow.grouped else [])]]


def _class_rows(known: Known) -> list[list[str]]:
    return [[name, *(f"{of[split]:,}" for split in SPLITS)] for name, of in known.images.class_counts.items()]


def _scores(known: Known, said: Said) -> list[str]:
    """Return a table of all candidates and metrics of each split that was evaluated."""
    lines = []
    for split, found in known.tuned.evaluations.items():
        pick, names = found["recommended"], list(found["scores"])
        rows = [
            [title, *(estimate_text(found["scores"][name]["metrics"][metric]) for name in names)]
            for metric, title in METRICS.items()
            if all(metric in found["scores"][name]["metrics"] for name in names)
        ]
        number, site = found["scores"][pick]["images"], found.get("external")
        images = f"{count(number, 'image')} of {said(site['name'])}" if site else count(number, f"{split} image")
        lines += [f"{images}, 95 % intervals; recommended by validation: {pick}.", ""]
        lines += _table(["metric", *names], rows, said)
        notes = dict.fromkeys([*found["scores"][pick]["notes"], *found["notes"]])
        lines += [line for note in notes for line in (said(note), "")]
    return lines


def places(known: Known) -> set[Path]:
    data = [path for config in (known.config, known.facts.config) if config and (path := config.data.path)]
    return places_of([known.facts.run.path], data)


def saying(known: Known) -> Said:
    """Return what makes a text fit for Markdown: nothing in it acts, and it names no folder of this machine."""
    within = places(known)
    return lambda text: plain(without_places(text, within))


def _code(command: str, known: Known) -> str:
    return printable(without_places(command, places(known))).replace("\n", " ")
