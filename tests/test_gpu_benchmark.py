"""benchmarks/gpu.py, rehearsed on the CPU: a GPU's minutes are too few to find its faults in."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cass_cli.engine.timing.job import PAPER_PRESETS

REPO = Path(__file__).parents[1]
SCRIPT = REPO / "benchmarks" / "gpu.py"
PLAIN_LOOPS = ("plain loop", "plain loop, bf16", "ours, fp32")
WITHOUT_CUDA = {
    "correctness": {"step: TF32", "one process: SyncBN", "never waits"},
    "levers": {"graphs", "streams", "cache", "tf32"},
}
# Runs the script as if nothing were installed: None in sys.modules is what an import then finds.
BARE = """
import runpy, sys
for name in ("torch", "torchvision", "timm", "numpy", "scipy", "sklearn", "pandas", "matplotlib", "pydantic", "typer"):
    sys.modules[name] = None
sys.argv = ["gpu.py", "--device", "cpu", "--tiny"]
runpy.run_path({script!r}, run_name="__main__")
"""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=300, check=False)


def test_the_rehearsal_runs_everything_and_leaves_it_in_one_file(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    done = run(str(SCRIPT), "--device", "cpu", "--tiny", "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(out.read_text())
    sections = result["sections"]
    assert list(sections) == ["environment", "correctness", "step", "levers", "projection"]
    assert result["finished"]

    for name, cases in sections.items():
        skipped = {case: found["skipped"] for case, found in cases.items() if found["status"] == "skipped"}
        skipped.pop("byol, vit, against lightly", None)  # where lightly isn't installed
        assert skipped == dict.fromkeys(WITHOUT_CUDA.get(name, ()), "needs CUDA")
        usual = "passed" if name == "correctness" else "measured"
        assert {found["status"] for found in cases.values()} <= {usual, "skipped"}, cases
    for found in sections["correctness"].values():
        assert all(value <= allowed for value, allowed in found.get("differences", {}).values())

    for case in ("batch 4, images ready", "batch 4, from files", "batch 8, images ready"):
        rows = sections["step"][case]["rows"]
        assert all(rows[loop]["ratio"][0] > 0 and 0 < rows[loop]["peak_share"] < 1 for loop in PLAIN_LOOPS)
        assert rows["plain loop, TF32"]["skipped"] == "needs CUDA"
    assert sections["levers"]["channels-last"]["rows"]["CNN channels last"]["ratio"][0] > 0
    for case in sections["projection"].values():
        assert set(case["presets"]) == set(PAPER_PRESETS)
        assert all(hours > 0 for preset in case["presets"].values() for hours in preset["hours"].values())
    assert sections["projection"]["cass"]["presets"]["dermofit"]["paper_hours"]["cass"] > 1

    *goals, _, written = done.stdout.splitlines()[-6:]
    wanted = ("≥ 5 × the plain loop in fp32", "≥ 2 × the plain loop in bf16", "≥ 50% of the matmul peak", "< 16 GB")
    assert all(line.startswith(goal) for line, goal in zip(goals, wanted, strict=True))
    assert written.endswith(str(out))


def test_what_is_missing_is_named_with_how_to_bring_it() -> None:
    done = run("-c", BARE.format(script=str(SCRIPT)))
    assert done.returncode == 2, done.stderr
    assert "pydantic: not installed" in done.stdout
    lines = [line.strip() for line in done.stdout.splitlines()]
    fetch = next(line for line in lines if line.startswith("pip download"))
    bring = next(line for line in lines if line.startswith("pip install"))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"--only-binary :all: --python-version {version} --platform manylinux2014_" in fetch
    assert bring.startswith("pip install --no-index --find-links .wheels ")
    for line in (fetch, bring):
        assert {"pydantic", "typer", "scikit-learn"} <= set(line.split())
        assert not {"torch", "timm", "torchvision"} & set(line.split())  # these would bring another torch along
    assert any(".git/info/exclude" in line for line in lines)


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import gpu_record

    yield gpu_record.Record(tmp_path / "gpu.json", minutes=1, began=time.monotonic())
    gc.unfreeze()


def test_a_case_that_raises_is_recorded_and_the_rest_is_run(record: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from gpu_record import Case, SkipError

    def broken() -> dict[str, Any]:
        raise ValueError("first line\nsecond line")

    def lacking() -> dict[str, Any]:
        raise SkipError("needs CUDA")

    def apart(difference: float) -> dict[str, Any]:
        return {"differences": {"close": (0.0, 0.0), "loss": (difference, 0.1)}}

    record.run(
        "correctness",
        [
            Case("broken", 1, broken),
            Case("lacking", 1, lacking),
            Case("near", 1, lambda: apart(0.05)),
            Case("far", 1, lambda: apart(0.2)),
            Case("not a number", 1, lambda: apart(float("nan"))),
            Case("long", 100, broken),
            Case("last", 1, lambda: {"found": 7}),
        ],
    )
    on_disk = json.loads(record.path.read_text())["sections"]["correctness"]
    assert {name: entry["status"] for name, entry in on_disk.items()} == {
        "broken": "failed",
        "lacking": "skipped",
        "near": "passed",
        "far": "failed",
        "not a number": "failed",
        "long": "left out",
        "last": "measured",
    }
    assert on_disk["broken"]["error"] == "ValueError: first line"
    assert "in broken" not in on_disk["broken"]["error"] and "broken" in on_disk["broken"]["traceback"][-1]
    assert on_disk["last"]["found"] == 7
    assert record.names("failed", "correctness") == ["broken", "far", "not a number"]
    assert "loss: 2.0e-01 (at most 1e-01)" in capsys.readouterr().out
    assert [path.name for path in record.path.parent.iterdir()] == ["gpu.json"], "no part of a file is left"
