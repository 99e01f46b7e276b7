"""What a command shows when it has ended: for people as text, for machines as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from cass_cli.config.load import Resolved
from cass_cli.data.records import count
from cass_cli.engine.collapse import ArmGauges
from cass_cli.engine.forecast import Forecast
from cass_cli.engine.job import PretrainResult
from cass_cli.engine.plan import Plan
from cass_cli.reports.tables import GAUGES_LEGEND, gauges_table

GIB = 2**30


def print_json(value: Any) -> None:
    """Print `value` as the one JSON document on stdout."""
    print(json.dumps(value, indent=2, default=str))


def show_pretrained(result: PretrainResult, *, as_json: bool) -> None:
    """Show where the arms are, how they fared, and what to do next."""
    if as_json:
        print_json(asdict(result))
        return
    console = Console(highlight=False, soft_wrap=True)
    gauges = {arm: ArmGauges.from_dict(values) for arm, values in result.gauges.items()}
    console.print()
    console.print(gauges_table(gauges, result.states, result.probes))
    console.print(GAUGES_LEGEND, style="dim")
    console.print(
        f"\n{count(result.epochs, 'epoch')} in {duration(result.seconds)}, last loss {result.loss:.4f}. Saved:"
    )
    for path in result.arms.values():
        console.print(f"  [cyan]{path}[/]")
    if "collapsed" in result.states.values():
        console.print("[yellow]An arm has collapsed: do not read its low loss as success.[/]")
    console.print("Next: cass finetune --label-fraction 0.1   (or load an arm with timm: README, “Use the arms”)")


def show_plan(resolved: Resolved, plan: Plan, forecast: Forecast, notes: Sequence[str], *, as_json: bool) -> None:
    """Show every setting with its origin, and what would run."""
    if as_json:
        settings = {key: resolved.value(key) for key in resolved.origins}
        told = {"plan": asdict(plan), "forecast": asdict(forecast), "notes": list(notes)}
        print_json({"settings": settings, "origins": dict(resolved.origins), **told})
        return
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("setting", "value", "from"):
        table.add_column(heading, overflow="fold")
    for key, origin in resolved.origins.items():
        table.add_row(key, _shown(resolved.value(key)), origin, style="dim" if origin == "default" else None)
    console.print(table)
    for note in notes:
        console.print(f"• {note}", style="dim")
    images = ", ".join(f"{n:,} {split}" for split, n in plan.images.items())
    weights = ", ".join(f"{arm} {n / 1e6:.1f} M" for arm, n in plan.parameters.items())
    console.print(
        f"\nImages      {images} (pretraining sees the training split only)\n"
        f"Steps       {plan.steps:,} ({plan.steps_per_epoch:,} an epoch)\n"
        f"Parameters  {weights}\n"
        f"Memory      about {plan.memory_bytes / GIB:.2f} GiB: weights and optimiser {plan.weight_bytes / GIB:.2f}, "
        f"activations {plan.activation_bytes / GIB:.2f}, decoded images {plan.image_bytes / GIB:.2f}\n"
        f"Time        about {duration(forecast.seconds)}, at {forecast.images_per_second:.3g} images a second "
        f"({forecast.timed})\n"
        f"Device      {plan.device}, {plan.precision}\n\nNothing was run."
    )


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "–"
    return "–" if value is None else str(value)


def duration(seconds: float) -> str:
    """Return a time as people say it, in its two largest units."""
    seconds = round(seconds)
    for unit, name, part, rest in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= unit:
            return f"{seconds // unit} {name} {seconds % unit // part:02d} {rest}"
    return f"{seconds} s"
