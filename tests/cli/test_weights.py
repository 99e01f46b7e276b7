"""`cass weights`, and what it is for: a start from a folder, without a network and without naming a file."""

from __future__ import annotations

import hashlib
import json
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from cass_cli.cli.app import run
from tests.cli.conftest import make_pictures
from tests.models.tiny_hub import STORE, tiny_hub

STARTS: dict[str, dict[str, Any]] = {"test_resnet": {}, "test_vit": {"img_size": 32}}


def fill(folder: Path) -> Path:
    """Put the weights of two networks into a folder."""
    folder.mkdir()
    torch.manual_seed(0)
    for name, options in STARTS.items():
        save_file(timm.create_model(name, **options).state_dict(), folder / f"{name}.safetensors")
    return folder


@pytest.fixture
def stick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = fill(tmp_path / "stick")
    monkeypatch.setenv("CASS_WEIGHTS", str(folder))
    return folder


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert run(["weights", *words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_what_lies_in_the_folder_is_what_every_command_starts_from(
    stick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pretraining and a fine-tuning of ImageNet's: said, and recorded with the file's digest."""
    make_pictures(tmp_path / "pictures", per_class=20)
    made = ["--runs", str(tmp_path / "runs"), "--device", "cpu", "--precision", "fp32"]
    asked = ["--cnn", "test_resnet", "--vit", "test_vit", "--image-size", "32", "--data", str(tmp_path / "pictures")]
    short = ["--epochs", "1", "--batch-size", "8", "--method", "vicreg", "--no-advice"]
    assert run(["pretrain", *asked, *made, *short, "--name", "p"]) == 0
    screen = " ".join(capsys.readouterr().out.split())
    summary = json.loads((tmp_path / "runs" / "p" / "summary.json").read_text())
    assert run(["finetune", *made[:4], "--run", "p", "--init-from", "imagenet"]) == 0
    trial = tmp_path / "runs" / "p" / "finetune" / "imagenet-probe" / "1" / "seed0" / "summary.json"
    tuned = json.loads(trial.read_text())
    for arm, name in (("cnn", "test_resnet"), ("vit", "test_vit")):
        digest = hashlib.sha256((stick / f"{name}.safetensors").read_bytes()).hexdigest()
        assert f"tensors from {name}.safetensors of $CASS_WEIGHTS (sha256 {digest[:16]})" in screen
        assert digest[:16] in summary["weights"][arm] and digest[:16] in tuned["arms"][arm]["weights"]
        card = json.loads((tmp_path / "runs" / "p" / "arms" / f"{arm}.json").read_text())
        assert digest[:16] in card["started_from"]


def test_without_it_the_error_is_quick_and_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pictures(tmp_path / "pictures", per_class=5)
    tiny = ["--cnn", "test_resnet", "--vit", "test_vit", "--image-size", "32", "--device", "cpu"]
    assert run(["finetune", *tiny, "--data", str(tmp_path / "pictures"), "--runs", str(tmp_path / "runs")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    for part in ("test_resnet.r160_in1k.safetensors", "(timm/test_resnet.r160_in1k)", "cass weights fetch test_resnet"):
        assert part in said
    assert "$CASS_WEIGHTS" in said


def test_list_tells_what_the_presets_start_from(stick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {file["model"]: file for file in told(capsys, "list")["files"]}
    assert set(files) == {"resnet50", "vit_base_patch16_384"}, "the demo starts at random"
    assert files["resnet50"]["presets"] == ["autoimmune", "brain-mri", "dermofit", "isic2019"]
    assert files["resnet50"]["file"] == "resnet50.a1_in1k.safetensors" and files["resnet50"]["where"] == ""
    assert abs(files["resnet50"]["bytes"] - 102.5e6) < 1e6
    other = told(capsys, "list", "--preset", "dermofit", "--cnn", "test_resnet")["files"]
    assert [(file["model"], file["where"]) for file in other] == [
        ("test_resnet", "folder"),
        ("vit_base_patch16_384", ""),
    ]
    assert other[0]["path"] == str(stick / "test_resnet.safetensors")
    assert told(capsys, "list", "--preset", "demo")["files"] == []
    assert run(["weights"]) == 0
    screen = capsys.readouterr().out
    assert "cass weights fetch resnet50 vit_base_patch16_384" in screen and "not here" in screen


def test_check_finds_what_is_wrong_with_a_file(stick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = {name: stick / f"{name}.safetensors" for name in ("resnet18", "test_convnext", "test_vit2", "mine")}
    broken["resnet18"].write_bytes((stick / "test_vit.safetensors").read_bytes())
    broken["test_convnext"].write_bytes((stick / "test_resnet.safetensors").read_bytes()[:5000])
    bad = timm.create_model("test_vit2").state_dict()
    next(iter(bad.values())).view(-1)[0] = float("nan")
    save_file(bad, broken["test_vit2"])
    save_file({"x": torch.zeros(2)}, broken["mine"])
    found = {Path(file["path"]).name.partition(".")[0]: file for file in told(capsys, "check", code=2)}
    assert {name: file["problem"] for name, file in found.items() if name in ("test_resnet", "test_vit", "mine")} == {
        "test_resnet": "",
        "test_vit": "",
        "mine": "",
    }
    assert "does not fit this ResNet" in found["resnet18"]["problem"]
    assert "is not a readable weight file" in found["test_convnext"]["problem"]
    assert "not finite" in found["test_vit2"]["problem"]
    assert found["test_vit"]["fits"].startswith("80 of 80 tensors of test_vit")
    assert found["mine"]["model"] == ""
    for file in found.values():
        assert file["sha256"] == hashlib.sha256(Path(file["path"]).read_bytes()).hexdigest()


def test_check_holds_files_against_their_sums(stick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As sha256sum writes them, with and without --binary."""
    files = sorted(stick.iterdir())
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    sums = f"{digests[0]}  {files[0].name}\n{digests[1]} *{files[1].name}\n"
    (stick / "SHA256SUMS").write_text(sums)
    assert {file["listed"] for file in told(capsys, "check")} == {True}
    (stick / "SHA256SUMS").write_text(re.sub("^.", lambda c: "1" if c[0] == "0" else "0", sums, count=1))
    first, second = told(capsys, "check", code=2)
    assert "is not the file that SHA256SUMS tells of" in first["problem"] and not second["problem"]
    (stick / "test_vit.safetensors").unlink()
    assert "it is gone" in told(capsys, "check", code=2)[1]["problem"]
    (stick / "SHA256SUMS").write_text("what is this?\n")
    assert run(["weights", "check"]) == 2
    assert "Line 1 of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check", "nowhere"], "There is no nowhere"),
        (["check", "."], "No file of weights"),
        (["check"], "$CASS_WEIGHTS names no folder"),
        (["check"], "or name the files, or their folder."),
        (["fetch", "test_vit"], "$CASS_WEIGHTS names no folder"),
        (["fetch", "test_vit"], "or name it with --to."),
        (["fetch", "hf-hub:timm/test_vit", "--to", "x"], "loaded from elsewhere"),
        (["fetch", "local-dir:x", "--to", "x"], "loaded from elsewhere"),
        (["fetch", "test_vit", "--to", "x"], "Could not fetch timm's weights of 'test_vit'"),
        (["list", "resnet5o"], "Did you mean 'resnet50'"),
        (["list", "--preset", "dermofti"], "Did you mean 'dermofit'"),
    ],
)
def test_bad_input_is_explained(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["weights", *words]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "x").exists()


def test_what_is_fetched_is_what_a_machine_without_a_network_starts_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The hub's own client downloads, timm reads; a hub of this machine's is all that is not as it is."""
    made, folder = fill(tmp_path / "made"), tmp_path / "to" / "stick"
    there = made / "test_resnet.safetensors"
    with tiny_hub({"timm/test_resnet.r160_in1k/model.safetensors": there}, tmp_path / "cache"):
        (file,) = told(capsys, "fetch", "test_resnet", "--to", str(folder))["files"]
        assert told(capsys, "list", "test_resnet")["files"][0]["where"] == "cache"
    path = folder / "test_resnet.r160_in1k.safetensors"
    assert file["path"] == str(path) and file["licence"] == "apache-2.0" and not file["was_there"]
    assert (folder / "SHA256SUMS").read_text() == f"{file['sha256']}  {path.name}\n"
    wanted, given = load_file(there), load_file(path)
    assert wanted.keys() == given.keys() and all(torch.equal(wanted[key], given[key]) for key in wanted)
    monkeypatch.setenv("CASS_WEIGHTS", str(folder))
    assert [told["listed"] for told in told(capsys, "check")] == [True]
    assert told(capsys, "list", "test_resnet")["files"][0]["where"] == "folder"
    (again,) = told(capsys, "fetch", "test_resnet")["files"]
    assert again["was_there"] and again["sha256"] == file["sha256"]
    path.write_bytes(there.read_bytes())
    assert run(["weights", "fetch", "test_resnet"]) == 2
    assert "is not the file that SHA256SUMS there tells of" in " ".join(capsys.readouterr().err.split())


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "altered": ({"altered": True}, "what came is not what it told of (SHA-256), and was removed; try again."),
    "broken off": ({"cuts": 1_000}, "peer closed connection"),
    "gated": ({"status": 403, "code": "GatedRepo"}, "only who has accepted its terms gets it. Where it asks for an"),
    "private": ({"status": 401, "code": "RepoNotFound"}, "it has none of that name, or not for everybody."),
    "stale token": ({"status": 401}, "it answers 401 Unauthorized. Where it asks for an account, set HF_TOKEN"),
    "forbidden": ({"status": 403}, "it answers 403 Forbidden. Where it asks for an account, set HF_TOKEN"),
    "no file": ({"status": 404, "code": "EntryNotFound"}, "it has no model.safetensors or pytorch_model.bin there."),
    "too often": ({"status": 429}, "it answers 429 Too Many Requests."),
    "down": ({"status": 503}, "it answers 503 Service Unavailable."),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_hub_that_does_not_give_it_is_told_in_seconds(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The client by itself asks a hub that is down for 47 s, and keeps what is no longer what it was."""
    how, said = WRONG[wrong]
    monkeypatch.setattr("cass_cli.models.hub.PAUSE", 0.01)
    monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda _seconds: None))
    there = fill(tmp_path / "made") / "test_resnet.safetensors"
    served, cache = {"timm/test_resnet.r160_in1k/model.safetensors": there}, tmp_path / "cache"
    began = time.monotonic()
    with tiny_hub(served, cache, **how) as hub:
        assert run(["weights", "fetch", "test_resnet", "--to", str(tmp_path / "to")]) == 2
        assert time.monotonic() - began < 5 and len(hub.asked) < 30
        error = " ".join(capsys.readouterr().err.split())
        assert "Could not fetch timm's weights of 'test_resnet' from the hub: " in error and said in error
        assert "cass weights fetch test_resnet" in error and "127.0.0.1" not in error
        assert ("HF_TOKEN" in error) == (how.get("status") in (401, 403)) and not (tmp_path / "to").exists()
        assert not [path for path in cache.rglob("*") if path.is_file() and path.stat().st_size > 1_000_000]
        hub.status, hub.cuts, hub.altered = 200, 0, False
        assert run(["weights", "fetch", "test_resnet", "--to", str(tmp_path / "to")]) == 0  # nothing is in its way


def test_a_download_that_breaks_off_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = fill(tmp_path / "made") / "test_resnet.safetensors"
    with tiny_hub({"timm/test_resnet.r160_in1k/model.safetensors": there}, tmp_path / "cache", cuts=1) as hub:
        told(capsys, "fetch", "test_resnet", "--to", str(tmp_path / "to"))
    whole, rest = [start for method, path, start in hub.asked if method == "GET" and path.startswith(STORE)]
    assert whole == "" and int(rest.removeprefix("bytes=").removesuffix("-")) > there.stat().st_size / 2 - 100_000
    wanted, given = load_file(there), load_file(tmp_path / "to" / "test_resnet.r160_in1k.safetensors")
    assert all(torch.equal(wanted[key], given[key]) for key in wanted)
