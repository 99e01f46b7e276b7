"""What `cass export` shows."""

from __future__ import annotations

from rich.text import Text

from cass_cli.engine.exporting.job import Exported
from cass_cli.reports.printing import Screen, print_json, print_sentence
from cass_cli.words import count, shown_list


def show_exported(found: Exported, *, as_json: bool) -> None:
    """Show what was written, what it takes and gives, and how near it is to cass's own answers."""
    if as_json:
        facts = {"bytes": found.bytes, "difference": found.difference, "about": found.about}
        print_json({"out": str(found.path), "format": found.kind, **facts})
        return
    console, about = Screen(soft_wrap=True), found.about
    classes = about["classes"]
    console.print(Text("Answered by ").append(found.candidate, style="bold"))
    print_sentence(console, Text(f"In:  {about['input']}"))
    print_sentence(
        console, Text(f"Out: {about['output']}: {count(len(classes), 'class', 'classes')}, {shown_list(classes)}")
    )
    print_sentence(
        console, Text(f"Read back, on 12 made-up images: at most {found.difference:.1g} apart from cass's own answers.")
    )
    console.print(Text("Written: ").append(str(found.path), style="cyan").append(f" ({found.bytes / 1e6:,.1f} MB)"))
