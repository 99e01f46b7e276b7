"""A stranger's settings: as YAML that is an attack by itself, and as wishes that cass must not fulfil."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.faults.attacks_foreign import PAPER, TINY, TUNE, WEIGHTS
from tests.faults.foreign import RUN, Foreign, folder, holes, link, on_settings, pipe, text

FILE = (*WEIGHTS, *TINY, "--config", "{work}/mine.yaml")
REPORT = ("report", "{runs}/p")
GO_ON = ("pretrain", "--runs", "{runs}", "--name", "p", "--resume", "--epochs", "3")
LAUGHS = "".join(f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]\n" for i in range(9))
YAML: dict[str, str | bytes] = {
    "aliases": "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + LAUGHS,
    "aliases as settings": "x: &a [1, 1]\noptim: {betas: *a}\n",
    "an alias of itself": "optim: &a {betas: *a}\n",
    "merged": "optim:\n  <<: {lr: 0.1}\n",
    "code": "optim: !!python/object/apply:os.system ['echo > ../victim/was-here']\n",
    "a name of Python": "optim: {lr: !!python/name:os.system }\n",
    "another tag": "optim: !mine {lr: 1}\n",
    "nested lists": "optim: {betas: " + "[" * 10**5 + "]" * 10**5 + "}\n",
    "nested by lines": "".join(" " * i + "a:\n" for i in range(600)),
    "nested by dashes": "- " * 5000 + "\n",
    "a key of a list": "? [a, b]\n: 1\n",
    "a key that is a table": "? {a: b}\n: 1\n",
    "a key of a megabyte": "a" * 10**6 + ": 1\n",
    "a key of 50 kB": "a" * 50_000 + ": 1\n",
    "a key with escapes": '"\\e[31m\\a": 1\n',
    "a value with escapes": 'arms: {cnn: "\\e[31m\\a"}\n',
    "a weight with escapes": 'arms: {weights: {"\\e[31m\\a": x}}\n',
    "signs that turn the text": "arms: {cnn: \u202eabc}\n\u2028a: b\n",
    "many unknown keys": "".join(f"optm{i}: 1\n" for i in range(10_000)),
    "ten megabytes": "# mine\n" * 1_500_000,
    "two hundred thousand values": "optim: {betas: [" + "1," * 200_000 + "1]}\n",
    "a section twice": "optim: {lr: 0.1}\noptim: {lr: 0.2}\n",
    "a setting twice": "optim:\n  lr: 0.1\n  lr: 0.2\n",
    "a number of 5000 digits": "optim: {lr: " + "1" * 5000 + "}\n",
    "a number of 4000 digits": "train: {seed: " + "1" * 4000 + "}\n",
    "a hexadecimal number": "train: {seed: 0x" + "f" * 20_000 + "}\n",
    "a binary number": "train: {epochs: 0b" + "1" * 100_000 + "}\n",
    "a number of sixties": "train: {epochs: " + ":".join(["59"] * 30_000) + "}\n",
    "infinity": "optim: {lr: .inf}\n",
    "not a number": "optim: {lr: .nan}\n",
    "a great number": "optim: {lr: 1e999}\n",
    "a date": "arms: {cnn: 2020-01-01}\n",
    "bytes": "arms: {cnn: !!binary aGVsbG8=}\n",
    "a set": "optim: !!set {lr, lr_min}\n",
    "two documents": "optim: {lr: 0.1}\n---\noptim: {lr: 0.2}\n",
    "a directive": "%YAML 9.9\n---\na: 1\n",
    "another encoding": "optim: {lr: 0.1}\n".encode("utf-16"),
    "no encoding": b"\xff\xfe\xfd\n",
    "zeros": bytes(1000),
    "a list": "[1, 2]\n",
}
SAVED = ("aliases", "merged", "code", "nested lists", "a key with escapes", "many unknown keys", "ten megabytes")
VALUES: dict[str, dict[str, Any]] = {
    "image size": {"data__image_size": 10**6},
    "batch size": {"finetune__batch_size": 10**12},
    "workers": {"data__workers": 10**6},
    "threads": {"train__threads": 10**6},
    "epochs": {"train__epochs": 10**30},
    "seeds": {"finetune__seeds": 10**6},
    "fractions": {"finetune__fractions": [0.5] * 10**5},
    "outputs": {"arms__outputs": 10**9},
    "a device": {"train__device": "cuda:99999"},
    "a device with escapes": {"train__device": "\x1b[31m"},
    "a model of the hub": {"arms__cnn": "hf-hub:timm/resnet18"},
    "a model of a folder": {"arms__vit": "local-dir:/tmp"},
    "a model with escapes": {"arms__cnn": "\x1b[31m\x07"},
    "a long model": {"arms__cnn": "r" * 50_000},
    "weights of others": {"arms__weights": {"cnn": "/dev/zero", "vit": "/etc/passwd"}},
    "images elsewhere": {"data__path": "/proc/self"},
    "images of a device": {"data__path": "/dev/zero"},
    "images of a pipe": {"data__path": "/nowhere/\x1b[31m"},
    "labels of a device": {"data__labels": "/dev/zero"},
    "labels of a file of passwords": {"data__labels": "/etc/passwd"},
    "splits of a device": {"data__splits": "/dev/zero"},
    "lists of a device": {"data__split_lists": {"train": "/dev/zero"}},
    "a pattern without end": {"data__group_pattern": "(a+)+$" * 3},
    "a download": {"data__path": "../victim/bloodmnist.npz", "data__download": True},
    "a size of pixels": {"data__max_pixels": 10**30},
    "the probe's size": {"finetune__probe_size": 10**6},
    "the probe's layers": {"finetune__layers": 10**30},
}
UNUSED = {"weights of others", "splits of a device", "images elsewhere", "a model of the hub", "a model of a folder"}
UNUSED |= {"a model with escapes", "a long model", "a pattern without end", "a device", "a device with escapes"}


def settings() -> Iterator[Foreign]:
    """What settings say that a user was given, and those of a run."""
    for name, content in YAML.items():
        fine = name in ("bytes", "ten megabytes", "a value with escapes", "a date")  # the options name other arms
        yield Foreign(f"file {name}", "mine.yaml", text(content), FILE, fine=fine)
        if name in SAVED:
            yield Foreign(f"run {name}", f"{RUN}/config.yaml", text(content), REPORT, fine=True)
    for name in ("nested lists", "aliases as settings", "a hexadecimal number", "a number of sixties", "code"):
        value = str(YAML[name]).partition(": {")[2].rstrip("}\n") or "!!python/name:os.system"
        key = "optim.betas" if "betas" in value else "train.seed"
        assigned = f"{key}={value.partition(': ')[2] or value}"
        yield Foreign(f"assigned {name}", "mine.yaml", text(""), (*WEIGHTS, *TINY, "--set", assigned[:120_000]))
    for name, change in {"a pipe": pipe, "a folder": folder, "a device": link("../../../../dev/zero")}.items():
        yield Foreign(f"file {name}", "mine.yaml", change, FILE, "mine.yaml")
    yield Foreign("run a pipe", f"{RUN}/config.yaml", pipe, REPORT, fine=True)
    yield Foreign("run three gigabytes", f"{RUN}/config.yaml", holes(3 * 10**9, b"data:\n"), REPORT, fine=True)
    for name, values in VALUES.items():
        change = on_settings(**values)
        yield Foreign(f"wish for {name}", f"{RUN}/config.yaml", change, TUNE, fine=name in UNUSED)
    for name in ("weights of others", "a model of the hub", "a model of a folder", "a long model", "a download"):
        command = ("similarity", "--run", "{runs}/p", "--samples", "4", "--compare", "start")
        yield Foreign(f"shown {name}", f"{RUN}/config.yaml", on_settings(**VALUES[name]), command)
        yield Foreign(f"gone on with {name}", f"{RUN}/config.yaml", on_settings(**VALUES[name]), GO_ON)
    variant = f"{RUN}/finetune/pretrained-paper/config.yaml"
    for name in ("image size", "a download", "labels of a device", "splits of a device"):
        fine = name == "splits of a device"
        yield Foreign(f"evaluated {name}", variant, on_settings(**VALUES[name]), PAPER, fine=fine)
