"""What `cass finetune --dry-run` shows: the settings that matter, what would run, how long, in how much memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from cass_cli.config.load import Resolved
from cass_cli.config.recipes import FOREIGN
from cass_cli.config.schema import ARM_NAMES
from cass_cli.engine.timing.finetune_forecast import ForeseenTuning
from cass_cli.engine.timing.finetune_plan import PlannedTrial, TunePlan
from cass_cli.reports.printing import Screen, duration, print_json
from cass_cli.reports.settings import measurements, settings_table, shown_value
from cass_cli.reports.tables import print_table
from cass_cli.words import count, label_share

GIB = 2**30
COMPUTING = ("train.device", "train.precision", "train.channels_last", "train.threads")
SPLITTING = (  # a run has its splits
    *("data.fractions", "data.splits", "data.split_by_duplicates", "data.check_leaks", "train.seed"),
)
TABLED = ("finetune.", "arms.", "data.path", "data.image_size")  # these have a row, default or not
GUARDING = ("finetune.layers", "finetune.mirrored")  # of a recipe that trains


def show_finetuning_plan(foreseen: ForeseenTuning, *, as_json: bool) -> None:
    """Show the settings that matter with their origins, and what would run."""
    resolved, plan, forecast = foreseen.resolved, foreseen.plan, foreseen.forecast
    keys = settings_that_matter(foreseen)
    if as_json:
        print_json(
            {
                "settings": {key: resolved.value(key) for key in keys},
                "origins": {key: resolved.origins[key] for key in keys},
                "plan": asdict(plan),
                "forecast": asdict(forecast),
                "notes": list(foreseen.notes),
                "warnings": list(foreseen.warnings),
            }
        )
        return
    console = Screen(soft_wrap=True)
    usual = [key for key in keys if resolved.origins[key] == "default" and not key.startswith(TABLED)]
    print_table(console, settings_table(resolved, [key for key in keys if key not in usual]))
    console.print(Text(f"by default: {_listed(resolved, usual)}", style="dim"), soft_wrap=False)
    for note in (*foreseen.notes, *measurements(resolved, foreseen.notes)):
        console.print(Text(f"• {note}", style="dim"))
    for warning in foreseen.warnings:
        console.print(Text(f"Warning: {warning}", style="yellow"))
    console.print()
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, lines in _told(foreseen).items():
        table.add_row(name, Text("\n".join(lines), overflow="fold"))
    console.print(table)
    console.print("\nNothing was run.")


def settings_that_matter(foreseen: ForeseenTuning) -> list[str]:
    """Return the names of the settings that the fine-tuning reads, in their order."""
    config, multilabel = foreseen.resolved.config, foreseen.plan.multilabel
    recipe, tuned = config.finetune.recipe, config.finetune
    arms = [f"arms.{name}" for name in ARM_NAMES if name in foreseen.plan.arms]
    named = [*COMPUTING, *arms, *(["arms.weights"] if tuned.init in ("imagenet", "best") else [])]
    named += ["train.save_minutes"] if tuned.trains else []
    sections = ("data", "finetune", *(["augment"] if tuned.trains else []))
    useless = {*FOREIGN[recipe], *(() if multilabel else ("finetune.thresholds",))}
    useless |= set() if tuned.fits_heads else {*GUARDING}
    useless |= set() if tuned.cross_teaches else {"finetune.unlabelled_ratio", "finetune.unlabelled_weight"}
    useless |= set() if tuned.folds else {"finetune.folds", "finetune.pretrain_once"}
    useless |= {"finetune.loss_form"} if multilabel else set()  # a sigmoid then, always
    if foreseen.new_run:
        named.append("train.seed")
    else:
        useless |= {*SPLITTING}
    return [
        key
        for key in foreseen.resolved.origins
        if (key in named or key.partition(".")[0] in sections) and key not in useless
    ]


def _listed(resolved: Resolved, keys: Iterable[str]) -> str:
    """Return the settings that have a value, in a line."""
    shown = {key: shown_value(resolved.value(key)) for key in keys}
    return " · ".join(f"{key} {value}" for key, value in shown.items() if value != "–")


def _told(foreseen: ForeseenTuning) -> dict[str, list[str]]:
    """Return the lines below the settings, under their headings."""
    plan = foreseen.plan
    splits = ", ".join(f"{n:,} {split}" for split, n in plan.images.items())
    arms = [
        f"{name} {arm.model}, {arm.parameters / 1e6:.1f} M parameters, {arm.weights}" for name, arm in plan.arms.items()
    ]
    memory = {
        "weights": plan.weight_bytes,
        "activations": plan.activation_bytes,
        "decoded images": plan.image_bytes,
        "features and regressions": plan.feature_bytes,
    }
    parts = ", ".join(f"{name} {needed / GIB:.2f}" for name, needed in memory.items() if needed)
    images = f"{splits}, labelled with {count(plan.classes, 'class', 'classes')}"
    if plan.folds:
        images = f"{plan.dealt:,}, each tested once in {plan.folds} folds, as the first: {images}"
    return {
        "Images": [images],
        "Trials": [_trials(plan)],
        "Arms": arms,
        "Memory": [f"about {plan.memory_bytes / GIB:.2f} GiB: {parts}"] if plan.todo else ["–"],
        "Time": _time(foreseen),
        "Device": [f"{plan.device}, {plan.precision}"],
        "Result in": [str(plan.variant)],
    }


def _trials(plan: TunePlan) -> str:
    """Return how many trials there are, of what, and how many are kept."""
    fractions: dict[float, list[PlannedTrial]] = {}
    for trial in plan.trials:
        fractions.setdefault(trial.fraction, []).append(trial)
    seeds = sorted({trial.seed for trial in plan.trials})
    of = ", ".join(
        f"{_labels(trials)} ({label_share(fraction, 'training labels')})" for fraction, trials in fractions.items()
    )
    which = f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
    which = f"{plan.folds} folds dealt by {which}" if plan.folds else which
    kept = sum(trial.kept for trial in plan.trials)
    left = f"; {kept} finished and kept, {len(plan.todo)} to do" if kept else ""
    return f"{len(plan.trials)}: {of}, {which}{left}"


def _labels(trials: Iterable[PlannedTrial]) -> str:
    found = sorted({trial.labels for trial in trials})
    return count(found[0], "label") if len(found) == 1 else f"{found[0]:,} to {found[-1]:,} labels"


def _time(foreseen: ForeseenTuning) -> list[str]:
    """Return how long it would take, what for, and what that rests on."""
    plan, forecast = foreseen.plan, foreseen.forecast
    if not plan.todo:
        return ["none: everything is finished"]
    unread = {name: arm.unread for name, arm in plan.arms.items()}
    same = len(set(unread.values())) == 1
    images = f"{max(unread.values()):,}" if same else ", ".join(f"{name} {n:,}" for name, n in unread.items())
    steps = sum(trial.steps for trial in plan.todo)
    parts = []
    if steps:
        most = max(trial.epochs for trial in plan.todo)
        parts.append(f"{steps:,} steps ({count(most, 'epoch')} a trial) {duration(forecast.training_seconds)}")
    if any(unread.values()):
        parts.append(f"frozen arms read {images} images {duration(forecast.reading_seconds)}")
    if forecast.fitting_seconds >= 0.5 or not parts:
        parts.append(f"regressions {duration(forecast.fitting_seconds)}")
    about = "at most about" if steps else "about"
    return [
        f"{about} {duration(forecast.seconds)}, without decoding images: {', '.join(parts)}",
        f"(timed on noise: {', '.join(forecast.timed)})",
    ]
