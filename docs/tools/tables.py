"""Tables of the pages, made from the results in `benchmarks/results` when the site is built."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

SETS = {"ham10000": "HAM10000", "brain_mri": "brain MRI", "chula_rbc12": "Chula RBC-12"}
STARTS = {
    "transfer": "transfer",
    "cass-1e-5": "CASS, lr 1e-5",
    "cass-1e-3": "CASS, lr 1e-3 (the paper's)",
    "dino-paper": "DINO, the paper's setting",
    "byol": "BYOL",
    "mae": "MAE",
}


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines).replace("|  |", "| |").replace("|  |", "| |")


def read(path: Path) -> Any:
    """Return what a JSON file holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def answers(path: Path) -> str:
    """Macro F1 of what validation picked, by labels and recipe; mean ± half of the 95 % interval."""
    cells = [cell for cell in read(path)["cells"] if cell["candidate"] == "pick"]
    found = {(cell["set"], cell["labels"], cell["recipe"]): cell for cell in cells}
    asked = sorted(
        {(cell["set"], cell["labels"], cell["fraction"]) for cell in cells}, key=lambda x: _order(x[0], x[1])
    )
    rows = []
    for name, labels, fraction in asked:
        shown = [found.get((name, labels, recipe)) for recipe in ("pooled", "probe", "paper")]
        rows.append([f"{SETS[name]}, {labels:,} ({_percent(fraction)})", *map(_spread, shown)])
    return markdown(["labels", "last layer", "`probe`", "`paper`"], rows)


def _order(name: str, labels: int) -> tuple[int, int]:
    return list(SETS).index(name), labels


def _spread(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return ""
    if cell["n"] == 1:
        return _short(cell["mean"])
    half = (cell["high"] - cell["low"]) / 2
    return f"{_short(cell['mean'])} ± {_short(half)}" if half >= 0.0005 else _short(cell["mean"])


def _short(value: float, places: int = 3) -> str:
    """Return .431, 0.431's form in tables of scores."""
    text = f"{value:.{places}f}".replace("-", "−")
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def _interval(summary: Mapping[str, Any]) -> str:
    return f"{_short(summary['mean'])} [{_short(summary['low'])}, {_short(summary['high'])}]"


def starts(path: Path) -> str:
    """Macro F1 of both arms by what they started from, with what became of them in pretraining."""
    result = read(path)
    scores = {(c["method"], c["candidate"]): _interval(c["summary"]) for c in result["macro_f1"]["cells"]}
    rows = []
    for start in dict.fromkeys(method for method, _ in scores):
        states = result["pretraining"].get(start, {}).get("states", {})
        told = ", ".join(f"{arm.upper().replace('VIT', 'ViT')} {state}" for arm, state in states.items())
        rows.append([STARTS[start], scores.get((start, "cnn"), "–"), scores.get((start, "vit"), "–"), told or "–"])
    return markdown(["start", "CNN", "ViT", "after pretraining"], rows)


def fractions(folder: Path) -> str:
    """Macro F1 of the CNN by labels and start."""
    rows = []
    for name in ("brain_mri", "ham10000"):
        for file in ("1", "10", "100-cnn"):
            cells = read(folder / f"labels-{name}-{file}.json")["macro_f1"]["cells"]
            cnn = {cell["method"]: cell for cell in cells if cell["candidate"] == "cnn"}
            labels = f"{SETS[name]}, {cnn['transfer']['labels']:,} ({cnn['transfer']['fraction']:.0%})".replace(
                "%", " %"
            )
            rows.append([labels, *(_interval(cnn[start]["summary"]) for start in list(STARTS)[:3])])
    return markdown(["labels", "transfer", "CASS, lr 1e-5 (healthy)", "CASS, lr 1e-3 (collapsed)"], rows)


def collapse(path: Path) -> str:
    """Loss, mean cosine of the outputs, and since when an arm was collapsed, by learning rate."""
    runs = read(path)["runs"]
    rows = []
    for lr, epochs in runs.items():
        losses = ", ".join(f"{epochs[i]['loss']:.5f}" for i in (0, -1))
        rows.append([lr + (" (the paper's)" if lr == "1e-3" else ""), losses, *(_state(epochs, arm) for arm in ARMS)])
    last = max(map(len, runs.values()))
    return markdown(["learning rate", f"loss after 1, {last} epochs", "CNN: mean cosine", "ViT: mean cosine"], rows)


def never_cleared(path: Path) -> str:
    """What becomes of both arms with and without cleared gradients."""
    rows = []
    for name, epochs in read(path)["runs"].items():
        gauges, probes = epochs[-1]["gauges"], epochs[-1]["probes"]
        for arm, title in ARMS.items():
            rank = f"{gauges[arm]['features']['rank']:.0f}"
            rows.append([name, title, _state(epochs, arm), rank, _short(probes[arm]["linear"]["macro_f1"])])
    return markdown(["gradients", "arm", "mean cosine", "effective rank", "probe, macro F1"], rows)


ARMS = {"cnn": "CNN", "vit": "ViT"}


def _state(epochs: Sequence[Mapping[str, Any]], arm: str) -> str:
    """Return the last mean cosine of an arm's outputs, and its state, with the epoch where it began to collapse."""
    since = next((epoch["epoch"] for epoch in epochs if epoch["states"][arm] == "collapsed"), None)
    state = epochs[-1]["states"][arm] + (f" since epoch {since}" if since else "")
    return f"{epochs[-1]['gauges'][arm]['outputs']['cosine']:.3f}, {state}"


def class_weights(path: Path) -> str:
    """Macro F1, balanced accuracy and accuracy by what is done about uneven classes."""
    rows = read(path)["rows"]
    schemes = dict.fromkeys(row["scheme"] for row in rows)
    found = {(row["scheme"], row["metric"]): _interval(row) for row in rows}
    metrics = ["macro_f1", "balanced_accuracy", "accuracy"]
    table = [[scheme, *(found[scheme, metric] for metric in metrics)] for scheme in schemes]
    return markdown(["uneven classes", "macro F1", "balanced accuracy", "accuracy"], table)


def speed(folder: Path) -> str:
    """What is ours against what, and how many times as fast."""
    small = read(folder / "step.json")["results"]["small"]["rows"]["plain loop"]["ratio"]
    large = read(folder / "step-paper.json")["results"]["paper"]["rows"]["plain loop"]["ratio"]
    tuned = read(folder / "finetune.json")["results"]["small"]["rows"]["plain loop"]["ratio"]
    rows = [
        ["pretraining step with its data", "a plain PyTorch loop", _times(small)],
        ["the same, ResNet-50 + ViT-B/16 at 384 px, batch 4", "a plain PyTorch loop", _times(large)],
        ["fine-tuning epoch of both arms", "a plain loop, arm by arm", _times(tuned)],
    ]
    peers = read(folder / "peers.json")["results"] | read(folder / "peers-byol-cnn.json")["results"]
    for name, peer in peers.items():
        rows.append(
            [f"{name.split()[0].upper()} on the {_arm(name)}", "lightly", _times(peer["rows"]["lightly"]["ratio"])]
        )
    other = read(folder / "peers-lightly-train.json")
    for name, peer in other["results"].items():
        ratio = _times(peer["rows"]["lightly-train"]["ratio"])
        rows.append([f"{name.split()[0].upper()} on the {_arm(name)}", "lightly-train 0.18, two turns", ratio])
    for size, row in read(folder / "data.json")["results"].items():
        if "colour" in size:
            rows.append(
                [
                    f"augmentation, one core, {size}",
                    "torchvision on PIL images",
                    _times(row["torchvision, PIL"]["ratio"]),
                ]
            )
            rows.append([f"augmentation, one core, {size}", "kornia", _times(row["kornia, batch"]["ratio"])])
    return markdown(["ours", "against", "times as fast (quartiles)"], rows)


def _arm(name: str) -> str:
    return ARMS[name.split()[1]]


def _times(ratio: Sequence[float]) -> str:
    return f"{ratio[0]:.2f} ({ratio[1]:.2f}–{ratio[2]:.2f})"


LEVERS = {  # file, lever, its row → what the page calls it
    ("levers", "channels-last", "CNN channels last"): "CNN channels-last (on)",
    ("levers-paper", "channels-last", "CNN channels last"): "the same at 384 px",
    ("levers", "threads", "all 2"): "both cores instead of one",
    ("levers", "adam", "fused"): "fused Adam (on), over a loop",
    ("levers", "adam", "foreach"): "foreach Adam, over a loop",
    ("levers", "attention", "SDPA"): "SDPA, over attention written out",
    ("levers", "cache", "cached in memory"): "decoded images kept in memory",
    ("levers", "prefetch", "prefetch thread"): "a thread that fetches the next batch (as it was)",
    ("levers-compile", "compile", "torch.compile"): "`--compile on`",
    ("levers-bf16", "bf16", "bf16 autocast"): "`--precision bf16`, without the instructions",
    ("levers", "checkpointing", "gradient checkpointing"): "`--gradient-checkpointing`, for less memory",
    ("levers", "allocator", "freed memory is kept"): "keeping freed memory (on)",
    ("levers-paper", "allocator", "freed memory is kept"): "the same at 384 px",
}


def levers(folder: Path) -> str:
    """What each lever gives, alone."""
    results = {file: read(folder / f"{file}.json")["results"] for file in dict.fromkeys(file for file, _, _ in LEVERS)}
    rows = [[told, _times(results[file][lever][row]["ratio"])] for (file, lever, row), told in LEVERS.items()]
    return markdown(["lever", "times as fast (quartiles)"], rows)


def bf16(path: Path) -> str:
    """Steps with measured precision, against a plain loop and against fp32."""
    rows = []
    for result in read(path)["results"].values():
        ours, plain, fp32 = (result["rows"][name] for name in ("ours", "plain loop", "ours, fp32"))
        ratio = plain["seconds_per_image"][0] / fp32["seconds_per_image"][0]
        rows.append(
            [result["title"].removesuffix(", cpu"), _times(plain["ratio"]), _times(fp32["ratio"]), f"{ratio:.2f}"]
        )
        assert ours["ratio"][0] == 1
    return markdown(["", "as a plain loop", "as ours in fp32", "ours in fp32 as a plain loop (medians)"], rows)


def costs(path: Path) -> str:
    """A step of each method, and what CASS saves beside it."""
    timings = read(path)["rounds"][0]["timings"]
    cass = timings["cass"]
    rows = []
    for name, timing in timings.items():
        saved = [_percent(1 - cass[what] / timing[what]) if timing is not cass else "" for what in ("seconds", "flops")]
        rows.append([name, timing["views"], f"{timing['seconds']:.2f} s", *saved])
    return markdown(["method", "views", "a step", "CASS saves, time", "CASS saves, arithmetic"], rows)


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %").replace("-", "−")


def scaling(path: Path) -> str:
    """Seconds an image by size and batch."""
    results = read(path)["results"]
    rows = [
        [f"{sweep.replace('-', ' ')} {value}", f"{row['seconds_per_image'][0] * 1000:.0f} ms"]
        for sweep in ("image-size", "batch-size")
        for value, row in results[sweep].items()
    ]
    return markdown(["", "an image"], rows)


def startup(path: Path) -> str:
    """Seconds until something happens."""
    rows = [
        [f"`{name}`" if "," not in name else name, f"{seconds[0]:.1f} s"]
        for name, seconds in read(path)["seconds"].items()
    ]
    return markdown(["", "median"], rows)


def presets(folder: Path) -> str:
    """What each preset is for, and what the paper paid."""
    rows = []
    for file in sorted(folder.glob("*.yaml")):
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
        about, minutes = settings["about"], settings["about"]["paper_minutes"]
        cost = ", ".join(f"{name.upper()} {spent // 60} h {spent % 60} min" for name, spent in minutes.items())
        rows.append(
            [
                f"`{file.stem}`",
                about["title"],
                f"{about['images']:,}",
                str(about["classes"]),
                about["metric"],
                cost or "–",
            ]
        )
    return markdown(["preset", "data", "images", "classes", "metric", "the paper's cost on one RTX 8000"], rows)


TABLES: dict[str, Callable[[Path], str]] = {
    made.__name__.replace("_", "-"): made
    for made in (
        *(answers, starts, fractions, collapse, never_cleared, class_weights),
        *(speed, levers, bf16, costs, scaling, startup, presets),
    )
}
