"""A stranger's arms: their cards, and the tensors beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.torch as plain
import torch

from tests.faults.foreign import (
    PROBED,
    RUN,
    TUNED,
    Change,
    Foreign,
    folder,
    header,
    holes,
    no_card,
    on_card,
    pipe,
    text,
)

EVALUATE = ("evaluate", "--runs", "{runs}", "--run", "p", "--resamples", "20", "--variant")
PAPER, PROBE = (*EVALUATE, "pretrained-paper"), (*EVALUATE, "pretrained-probe")
LOOK = ("similarity", "--run", "{runs}/p", "--samples", "4")
TUNE = ("finetune", "--runs", "{runs}", "--run", "p", "--variant", "mine")
PREDICT = ("predict", "{data}", "--run", "{runs}/p", "--variant", "pretrained-probe", "--out", "{work}/a.csv")
WEIGHTS = ("pretrain", "--data", "{data}", "--runs", "{runs}", "--name", "n", "--init", "random", "--epochs", "1")
TINY = ("--cnn", "test_resnet", "--vit", "test_vit", "--image-size", "32", "--device", "cpu", "--precision", "fp32")
CNN, VIT = f"{TUNED}/arms/cnn", f"{TUNED}/arms/vit"
BIG = 10**9

OPTIONS: dict[str, tuple[Any, ...]] = {
    "num_classes": (BIG, 10**6, 3, -1, "2", None, 10**30),
    "depth": (100_000,),
    "checkpoint_path": ("/victim/kept.json", "kept.safetensors"),
    "pretrained": (True,),
    "pretrained_cfg": ({"file": "/victim/kept.json"}, {"url": "http://127.0.0.1:9/x"}, {"hf_hub_id": "a/b"}),
    "pretrained_cfg_overlay": ({"file": "kept"},),
    "cache_dir": ("../victim/cache",),
    "features_only": (True,),
    "in_chans": (10**6,),
    "channels": ([10**6] * 4,),
    "device": ("cuda",),
    "output_stride": (7, "8", 10**9),
}
OPTIONS_VIT: dict[str, tuple[Any, ...]] = {
    "img_size": (10**9, 64, 2048, "32", [32, 32]),
    "embed_dim": (10**6,),
    "depth": (100_000,),
    "patch_size": (1,),
    "reg_tokens": (BIG,),
}
MODELS = {
    "of the hub": "hf-hub:timm/resnet18.a1_in1k",
    "of the hub by its old name": "hf_hub:timm/resnet18.a1_in1k",
    "of a folder": "local-dir:../victim",
    "of a web page": "http://127.0.0.1:9/resnet18",
    "a path": "../victim/kept.json",
    "another": "resnet50",
    "one of a billion": "vit_giant_patch14_clip_224",
    "of no such tag": "test_resnet.nothing",
    "long": "a" * 10**6,
    "with an escape": "test_resnet\x1b[31m\x07",
    "with a zero": "test_resnet\0",
}
VALUES: dict[str, dict[str, Any]] = {
    "size of a million": {"input_size": [3, 10**6, 10**6]},
    "size oblong": {"input_size": [3, 32, 64]},
    "size of one channel": {"input_size": [1, 32, 32]},
    "size of a number with 300 digits": {"input_size": [3, 10**300, 10**300]},
    "means beyond numbers": {"mean": [1e308] * 3},
    "deviations of nearly nothing": {"std": [1e-300] * 3},
    "classes by the million": {"classes": [str(i) for i in range(10**6)]},
    "classes of other names": {"classes": ["a", "b"]},
    "classes twice": {"classes": ["dark", "dark"]},
    "epochs with 5000 digits": {"epochs": 10**4000},
    "labels with 30 digits": {"labels": 10**30},
}


def cards() -> Iterator[Foreign]:
    """What a card says of the network, so that building it is the attack."""
    for arm, options in ((CNN, OPTIONS), (VIT, OPTIONS_VIT)):
        for key, values in options.items():
            for value in values:
                name = f"{Path(arm).name} {key} {value}"
                yield Foreign(name, f"{arm}.json", on_card(**{f"options__{key}": value}), PAPER)
    for name, model in MODELS.items():
        yield Foreign(f"model {name}", f"{CNN}.json", on_card(model=model), PAPER)
    for name, values in VALUES.items():
        yield Foreign(name, f"{CNN}.json", on_card(**values), PAPER)
    pretrained = f"{RUN}/arms/vit.json"
    for command in (LOOK, TUNE):
        name = f"pretrained for {command[0]}"
        yield Foreign(f"{name} depth", pretrained, on_card(options__depth=10**5), command)
        yield Foreign(f"{name} classes", pretrained, on_card(options__num_classes=BIG), command)
        yield Foreign(f"{name} model", pretrained, on_card(model="local-dir:/tmp"), command)
    for name, change in broken_json().items():
        yield Foreign(f"card {name}", f"{CNN}.json", change, PAPER, "cnn.json")


def broken_json() -> dict[str, Change]:
    """Return what a JSON file may be instead."""
    return {
        "nested deep": text(lambda: "[" * 10**5),
        "of deep objects": text(lambda: '{"a":' * 10**5),
        "of a gigabyte of zeros": holes(10**9),
        "of three gigabytes": holes(3 * 10**9, b'{"model": "'),
        "of lists": text(lambda: "[" + "[]," * 10**7 + "[]]"),
        "of objects": text(lambda: '{"options": [' + '{"":{}},' * 3 * 10**6 + "{}]}"),
        "a pipe": pipe,
        "a folder": folder,
        "in another encoding": text('{"model": "x"}'.encode("utf-16")),
        "of a number": text(lambda: "1" * 10**6),
    }


def _header_of(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    found: dict[str, Any] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return {key: value for key, value in found.items() if key != "__metadata__"}


def _edited(**values: Any) -> Change:
    """Return a change of what the header says of the first tensor, whose data is let be."""

    def change(path: Path) -> None:
        said, data = _header_of(path), path.read_bytes()
        first = next(iter(said))
        said[first] = {**said[first], **values}
        path.write_bytes(header(said, data=data[8 + int.from_bytes(data[:8], "little") :]))

    return change


def _tensors(edit: Any) -> Change:
    def change(path: Path) -> None:
        tensors = plain.load_file(path)
        edit(tensors)
        plain.save_file({key: value.contiguous() for key, value in tensors.items()}, path)

    return change


def _first(value: Any) -> Change:
    def edit(tensors: dict[str, torch.Tensor]) -> None:
        name = next(key for key, tensor in tensors.items() if tensor.ndim > 1)
        tensors[name] = value(tensors[name])

    return _tensors(edit)


def _sparse_extra(path: Path) -> None:
    """A tensor of three gigabytes that takes no space."""
    said, data = _header_of(path), path.read_bytes()
    data = data[8 + int.from_bytes(data[:8], "little") :]
    end = len(data) + 3 * 10**9
    said["more"] = {"dtype": "U8", "shape": [3 * 10**9], "data_offsets": [len(data), end]}
    whole = header(said, data=data)
    path.write_bytes(whole)
    with path.open("r+b") as file:
        file.truncate(len(whole) + 3 * 10**9)


def _names(count: int, size: int) -> bytes:
    return header({f"{i:0{size}}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(count)})


def odd_tensors() -> dict[str, Change]:
    """Return what a safetensors file may be instead."""
    one = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
    return {
        "a header of exabytes": text(lambda: header({}, length=10**18)),
        "a header longer than the file": text(lambda: header({}, length=10**6)),
        "a header of 90 MB": text(lambda: header(b" " * 9 * 10**7)),
        "a header nested deep": text(lambda: header(b'{"a":' + b"[" * 10**5)),
        "a header that is a list": text(lambda: header([])),
        "a million names": text(lambda: _names(10**6, 6)),
        "a name of 10 MB": text(lambda: _names(1, 10**7)),
        "a name of 10 kB": text(lambda: _names(1, 10**4)),
        "a name with escapes": _tensors(lambda t: t.update({"\x1b[31m\x07": torch.zeros(1)})),
        "a trillion numbers": _edited(shape=[10**12]),
        "a shape that overflows": _edited(shape=[2**62, 4]),
        "a shape below zero": _edited(shape=[-1]),
        "a shape of a thousand sides": _edited(shape=[1] * 1000),
        "offsets that overlap": _edited(data_offsets=[2, 10]),
        "offsets beyond the end": _edited(data_offsets=[0, 10**12]),
        "offsets backwards": _edited(data_offsets=[8, 0]),
        "an unknown kind": _edited(dtype="F1024"),
        "eighths of numbers": _first(lambda t: t.to(torch.float8_e4m3fn)),
        "doubles": _first(lambda t: t.double()),
        "complex numbers": _first(lambda t: t.to(torch.complex64)),
        "no numbers": _first(lambda t: torch.full_like(t, float("nan"))),
        "transposed": _first(lambda t: t.transpose(0, 1)),
        "one missing": _tensors(lambda t: t.pop(next(iter(t)))),
        "one more": _tensors(lambda t: t.update(more=torch.zeros(3))),
        "three gigabytes more": _sparse_extra,
        "a name twice": text(lambda: header(one + one[1:-1] + b"}", data=bytes(4))),
        "metadata of 20 MB": text(lambda: header({"__metadata__": {"a": "b" * 2 * 10**7}})),
        "metadata of lists": text(lambda: header({"__metadata__": {"sha256": ["a"]}})),
        "nothing": text(b""),
        "zeros": text(lambda: bytes(1000)),
        "four gigabytes of zeros": holes(4 * 10**9),
        "a pipe": pipe,
        "a folder": folder,
    }


def tensors() -> Iterator[Foreign]:
    """What the tensors beside a card are."""
    for name, change in odd_tensors().items():
        yield Foreign(f"arm {name}", f"{CNN}.safetensors", no_card(change), PAPER, "cnn")
    heads = f"{PROBED}/arms/cnn-head"
    kept = ("exabytes", "trillion", "three gigabytes", "eighths", "escapes", "million names")
    for name, change in odd_tensors().items():
        if any(word in name for word in kept):
            yield Foreign(f"head {name}", f"{heads}.safetensors", no_card(change), PREDICT, "cnn-head")
            yield Foreign(f"start {name}", f"{RUN}/arms/cnn.safetensors", no_card(change), TUNE, "cnn")
    for name, values in {
        "layers": {"layers": BIG},
        "layers of 30 digits": {"layers": 10**30},
        "arms elsewhere": {"arms": ["../../../../../../../victim/kept"]},
        "arms of a path": {"arms": ["/tmp/cnn"]},
        "arms unknown": {"arms": ["other"]},
        "no arms": {"arms": []},
        "arms twice": {"arms": ["cnn", "cnn"]},
        "a million classes": {"classes": [str(i) for i in range(10**6)]},
        "another class": {"classes": ["dark", "light", "\x1b[31m"]},
    }.items():
        yield Foreign(f"head card {name}", f"{heads}.json", on_card(**values), PREDICT, fine=name.startswith("layers"))
