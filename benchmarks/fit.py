"""Which way of making images square answers best? Probes of each, scored on validation images.

    python benchmarks/fit.py brain_mri chula_rbc12 ham10000 --image-size 112 --cnn tf_efficientnet_lite0 --vit … \
        --weights cnn=… --weights vit=…

Every folder is read squashed, padded and cropped, and the frozen arms are probed as `cass finetune --recipe probe`
does, from ImageNet weights. A seed draws split, label subset and folds anew, the same for all three. Validation
scores decide, as a default must not be chosen on test images; thresholds of several labels an image are tuned on the
same images, which flatters all three alike. A set whose images are all square cannot tell, and is left out. What is
finished is kept in `--out`, so that an interrupted run goes on. Writes fit.json and the page fit.md after every seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from machine import write_result

from cass_cli.config.flags import weight_files
from cass_cli.config.recipes import asked_settings
from cass_cli.config.schema import ARM_NAMES, Config, FitName
from cass_cli.data.dataset import samples_of
from cass_cli.data.image_rows import read_headers
from cass_cli.data.labelled_images import LabelledData, decode, find_labelled
from cass_cli.data.splits import label_subset
from cass_cli.engine.compute import choose_compute
from cass_cli.engine.features import ArmFeatures, features_of
from cass_cli.engine.finetuning.shared import reading_of
from cass_cli.engine.heads import fit_heads, head_logits
from cass_cli.engine.signals import stop_on_signal
from cass_cli.engine.starting_arms import starting_body
from cass_cli.runs.directory import Run
from cass_cli.scores.judgement import judge, split_scores
from cass_cli.scores.over_seeds import holm, paired_test, summarise_seeds
from cass_cli.seeds import trial_seed

METRICS = {"macro_f1": "macro F1", "average_precision": "average precision"}
CANDIDATES = {"cnn": "CNN", "vit": "ViT", "joint": "both (joint)"}
FIT_NAMES = get_args(FitName)
USUAL = FIT_NAMES[0]

Scores = Mapping[str, Mapping[str, float | None]]  # candidate → metric → value


@dataclass(frozen=True)
class Trial:
    """What is scored once."""

    set: str
    fit: str
    fraction: float
    seed: int

    def file(self, out: Path) -> Path:
        """Return where its scores are kept."""
        return out / f"{self.set}-{self.fit}" / "scores" / f"{self.fraction:g}-{self.seed}.json"


def main() -> None:
    """Score what is not scored yet, seed by seed, and write what is known after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path, help="folders of labelled images")
    parser.add_argument("--image-size", type=int, default=112)
    parser.add_argument("--cnn", default="tf_efficientnet_lite0", help="timm model of the first arm")
    parser.add_argument("--vit", default="vit_small_patch14_dinov2", help="timm model of the second arm")
    parser.add_argument("--weights", action="append", help="local weight file of an arm: cnn=PATH, vit=PATH")
    parser.add_argument("--fractions", default="0.1,1", help="of the training labels")
    parser.add_argument("--seeds", type=int, default=3, help="of split, label subset and folds")
    parser.add_argument(
        "--out", type=Path, default=Path("fit"), help="folder of features and scores, of these arms at this size"
    )
    parser.add_argument("--note", default="", help="what a reader of the figures should know")
    given = parser.parse_args()
    fractions = [float(part) for part in given.fractions.split(",")]
    shapes = {folder.name: shapes_in(settings(folder, USUAL, 0, given)) for folder in given.data}
    told = [folder for folder in given.data if shapes[folder.name]["not_square"]]
    for seed in range(given.seeds):
        for folder in told:
            for fit in FIT_NAMES:
                trials = [Trial(folder.name, fit, fraction, seed) for fraction in fractions]
                score_missing(trials, settings(folder, fit, seed, given), given.out)
        trials = [
            Trial(folder.name, fit, f, s)
            for folder in told
            for fit in FIT_NAMES
            for f in fractions
            for s in range(seed + 1)
        ]
        report({trial: json.loads(trial.file(given.out).read_text()) for trial in trials}, shapes, given.note)


def settings(folder: Path, fit: str, seed: int, given: argparse.Namespace) -> Config:
    """Return the settings of a fine-tuning without pretraining, with splits of their own."""
    flags = {
        "data.path": folder,
        "data.image_size": given.image_size,
        "data.fit": fit,
        "arms.cnn": given.cnn,
        "arms.vit": given.vit,
        "arms.weights": weight_files(given.weights),
        "train.seed": seed,
        "finetune.init": "imagenet",
    }
    return asked_settings(flags).config


def shapes_in(config: Config) -> dict[str, float]:
    """Return how many images there are, how many are not square, and the longest of their aspects."""
    facts = read_headers(samples_of(config.data), config.data.workers)[0].values()
    aspects = np.array([max(fact.width, fact.height) / min(fact.width, fact.height) for fact in facts])
    return {
        "images": len(aspects),
        "not_square": int((aspects > 1).sum()),
        "above_1.1": int((aspects > 1.1).sum()),
        "longest": float(aspects.max()),
    }


def score_missing(trials: Sequence[Trial], config: Config, out: Path) -> None:
    """Probe and score those of the trials, all of one set, fit and seed, that are not scored yet."""
    todo = [trial for trial in trials if not trial.file(out).exists()]
    if not todo:
        return
    data = find_labelled(config, None)
    features = read(config, data, out / f"{todo[0].set}-{todo[0].fit}")
    for trial in todo:
        scores = validation_scores(config, data, features, trial)
        trial.file(out).parent.mkdir(exist_ok=True)
        part = trial.file(out).with_suffix(".part")
        part.write_text(json.dumps(scores))
        part.replace(trial.file(out))
        shown = ", ".join(f"{name} {scores[name]['macro_f1']:.3f}" for name in CANDIDATES)
        print(f"{trial.set} {trial.fit:<6} {trial.fraction:g} seed {trial.seed}: {shown}", flush=True)


def read(config: Config, data: LabelledData, folder: Path) -> dict[str, ArmFeatures]:
    """Return the features of all labelled images; the seeds share them, as each arm reads an image once."""
    compute = choose_compute(config.train)
    arms = {name: starting_body(Run(folder), config, name, seed=0).model for name in ARM_NAMES}
    rows = np.concatenate(list(data.rows.values()))
    images = decode(data, rows, config, device=compute.device)

    def progress(done: int, total: int) -> None:
        if done % 20 == 0 or done == total:
            print(f"{folder.name}: {done} of {total} batches read", flush=True)

    with stop_on_signal() as stop:
        return features_of(
            folder / "features", arms, data, images, rows, reading_of(config), compute, stop=stop, on_progress=progress
        )


def validation_scores(config: Config, data: LabelledData, features: Mapping[str, ArmFeatures], trial: Trial) -> Scores:
    """Return what a probe of the label subset scores on the validation images."""
    rows, classes, seed = data.rows, data.table.classes, trial_seed(trial.seed)
    subset = label_subset(data.labels, rows["train"], fraction=trial.fraction, seed=seed)
    heads = fit_heads(
        features,
        subset,
        data.labels[subset],
        classes,
        reading_of(config),
        groups=data.groups(subset),
        joint=True,
        seed=seed,
    )
    logits, truth = head_logits(heads, features, rows["val"]), data.labels[rows["val"]]
    judged = judge(logits, truth, classes, metric="macro_f1", tuned=True, groups=data.groups(rows["val"]))
    return split_scores(logits, truth, classes, judged)


def report(scores: Mapping[Trial, Scores], shapes: Mapping[str, Mapping[str, float]], note: str) -> None:
    """Write fit.json and fit.md."""
    rows = [
        row(scores, name, fraction, metric, candidate, fit)
        for name, fraction in dict.fromkeys((trial.set, trial.fraction) for trial in scores)
        for metric in METRICS
        for candidate in CANDIDATES
        for fit in FIT_NAMES
    ]
    gaps = [row["less_squash"] for row in rows if row["fit"] != USUAL and row["less_squash"]["t_p"] is not None]
    for gap, p in zip(gaps, holm([gap["t_p"] for gap in gaps]), strict=True):
        gap["p_adjusted"] = p
    result = {"note": note, "shapes": shapes, "rows": rows}
    path = write_result("fit", result)
    path.with_suffix(".md").write_text(page(result), encoding="utf-8")
    print(f"Written: {path}, after {max(trial.seed for trial in scores) + 1} seeds", flush=True)


def row(
    scores: Mapping[Trial, Scores], name: str, fraction: float, metric: str, candidate: str, fit: str
) -> dict[str, Any]:
    """Return mean and interval over seeds, and the paired difference to squashing."""
    values, usual = (
        {
            trial.seed: float(found[candidate][metric] or 0)  # undefined only where no class is there
            for trial, found in scores.items()
            if (trial.set, trial.fraction, trial.fit) == (name, fraction, kind)
        }
        for kind in (fit, USUAL)
    )
    return {
        **{"set": name, "fraction": fraction, "metric": metric, "candidate": candidate, "fit": fit},
        **summarise_seeds(list(values.values())).as_dict(),
        "values": values,
        "less_squash": paired_test(values, usual).as_dict(),
    }


def page(result: Mapping[str, Any]) -> str:
    """Return the tables as Markdown."""
    lines = ["# Squash, pad or crop: scores on validation images", "", result["note"], ""]
    for name, shape in result["shapes"].items():
        few = f"{shape['not_square']:,} of {shape['images']:,} images are not square"
        more = f", {shape['above_1.1']:,} by more than a tenth; aspect {shape['longest']:.2f} at most."
        lines += [f"- {name}: {few}{more if shape['not_square'] else ': it cannot tell, and is left out.'}"]
    lines += ["", "Mean ± half of the 95 % interval over seeds of split, label subset and folds (Student t), made by"]
    lines += [
        "`benchmarks/fit.py`. Last columns: what a way scores less what squashing scores, seed by seed, with its 95 %"
    ]
    lines += [
        "interval; p of the paired t-test, adjusted for the number of tests on this page (Holm), where below .05."
    ]
    for metric, title in METRICS.items():
        lines += [
            "",
            f"## {title[0].upper()}{title[1:]}",
            "",
            f"| set | labels | arm | seeds | {' | '.join(FIT_NAMES)} | ",
        ]
        others = [fit for fit in FIT_NAMES if fit != USUAL]
        lines[-1] += f"{' | '.join(f'{fit} − {USUAL}' for fit in others)} |"
        lines += [f"|{'---|' * (4 + len(FIT_NAMES) + len(others))}"]
        lines += table(row for row in result["rows"] if row["metric"] == metric)
    return "\n".join(lines) + "\n"


def table(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each set, fraction and candidate."""
    lines: dict[tuple[str, float, str], dict[str, Mapping[str, Any]]] = {}
    for each in rows:
        lines.setdefault((each["set"], each["fraction"], each["candidate"]), {})[each["fit"]] = each
    return [
        f"| {name} | {fraction:.0%} | {CANDIDATES[candidate]} | {fits[USUAL]['n']} | "
        f"{' | '.join(mean(found) for found in fits.values())} | "
        f"{' | '.join(gap(found['less_squash']) for fit, found in fits.items() if fit != USUAL)} |"
        for (name, fraction, candidate), fits in lines.items()
    ]


def mean(found: Mapping[str, Any]) -> str:
    """Return a mean and half of its interval, where there is one."""
    return f"{found['mean']:.3f}" + (f" ± {found['high'] - found['mean']:.3f}" if found["high"] is not None else "")


def gap(found: Mapping[str, Any]) -> str:
    """Return a difference with its interval, and its p where that is small."""
    if found["low"] is None:
        return f"{found['difference']:+.3f}"
    sure = f", p {found['p_adjusted']:.2g}" if found.get("p_adjusted", 1) < 0.05 else ""
    return f"{found['difference']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f}{sure})"


if __name__ == "__main__":
    main()
