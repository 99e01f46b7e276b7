"""`cass report` as users run it, and its page in a real browser."""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cass_cli.cli.app import run
from tests.reports.runs_on_disk import add_trial, draw, write_run

pytestmark = pytest.mark.drawn

BROWSER = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)


def reported(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["report", *arguments, "--json"]) == 0
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


@pytest.fixture(autouse=True)
def _no_curves(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the curves, which take longest to draw, where a test is not about them."""
    if request.node.name != "test_in_a_real_browser":
        monkeypatch.setattr("cass_cli.reports.html.curves", lambda _facts: [])


def test_the_latest_run_by_default_and_again_over_the_old_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "runs" / "one")
    (tmp_path / "runs" / "latest").symlink_to("one")
    monkeypatch.chdir(tmp_path)
    value = reported(capsys)
    page = tmp_path / "runs" / "one" / "report.html"
    assert Path(value["report"]).resolve() == page and value["bytes"] == page.stat().st_size
    page.write_text(page.read_text().replace("Run one", "Run old"))
    assert run(["report", "one"]) == 0
    assert "Run one" in page.read_text() and "report.html" in capsys.readouterr().out


def test_several_runs_and_the_path_of_a_fine_tuning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = write_run(tmp_path / "one"), write_run(tmp_path / "two", epochs=9, done=2)
    add_trial(one)
    monkeypatch.chdir(tmp_path)
    value = reported(capsys, str(one / "finetune" / "pretrained-paper" / "1" / "seed0"), str(one), str(two))
    assert [Path(path).resolve() for path in value["runs"]] == [one, two]
    assert value["unfinished"] == ["two"] and (tmp_path / "report.html").is_file()


def test_bad_input_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", str(tmp_path / "nowhere")]) == 2
    assert "There is no run" in capsys.readouterr().err
    assert run(["report", str(tmp_path)]) == 2
    assert "is no run of cass: it has no config.yaml" in capsys.readouterr().err
    mine = tmp_path / "mine.html"
    mine.write_text("mine")
    assert run(["report", str(write_run(tmp_path / "one")), "--out", str(mine)]) == 2
    assert "is no page of cass report" in capsys.readouterr().err and mine.read_text() == "mine"


def sparse(path: Path) -> None:
    Image.new("RGB", (8, 8)).save(path)
    os.truncate(path, 10**9)


@pytest.mark.parametrize(
    ("draw_it", "said"),
    [
        (sparse, "too large"),
        (lambda path: Image.new("1", (9000, 9000)).save(path), "too large"),
        (lambda path: path.write_bytes(Image.new("1", (8, 8)).tobytes()), "no readable figure"),
        (lambda path: path.write_text("<svg onload='x()'/>"), "no readable figure"),
        (lambda path: Image.new("RGB", (8, 8)).save(path, "GIF"), "no readable figure"),
    ],
)
def test_what_is_no_png_of_ordinary_size_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], draw_it: Callable[[Path], object], said: str
) -> None:
    made = write_run(tmp_path / "one")
    (made / "figures").mkdir(exist_ok=True)
    draw_it(made / "figures" / "similarity.png")
    value = reported(capsys, str(made))
    assert any("similarity.png" in each and said in each for each in value["damaged"])
    assert "data:image" not in Path(value["report"]).read_text().partition("similarity")[2].partition("</figure>")[0]
    assert value["bytes"] < 1_000_000


def test_only_a_link_that_is_asked_for_is_written_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = write_run(tmp_path / "one")
    (tmp_path / "mine.html").symlink_to("there.html")
    reported(capsys, str(made), "--out", str(tmp_path / "mine.html"))
    assert (tmp_path / "mine.html").is_symlink() and "Run one" in (tmp_path / "there.html").read_text()
    (made / "report.html").symlink_to(tmp_path / "others.html")
    assert run(["report", str(made)]) == 2
    assert "report.html is a link" in "".join(capsys.readouterr().err.splitlines())
    assert not (tmp_path / "others.html").exists()


def test_leaks_are_measured_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = tmp_path / "images"
    for i, split in enumerate(("train", "train", "test", "test")):
        path = draw(images / split / "cat" / f"{i}.png")
        if i != 2:  # image 2 is a copy of image 0
            Image.open(path).rotate(90 * i, expand=True).save(path)
    names = [f"{split}/cat/{i}.png" for i, split in enumerate(("train", "train", "test", "test"))]
    run_ = write_run(tmp_path / "one", **{"data.path": str(images)})
    lines = [f"{name},{name.partition('/')[0]},cat,,ok" for name in names]
    (run_ / "splits.csv").write_text("\n".join(["image,split,label,group,status", *lines]) + "\n")
    reported(capsys, str(run_))
    assert "were not measured for this report" in (run_ / "report.html").read_text()
    reported(capsys, str(run_), "--check-leaks")
    assert "1 test images have a near-identical training image" in (run_ / "report.html").read_text()


MEASURE = """<!doctype html><title>measure</title><link rel="icon" href="data:,">
<iframe src="report.html" style="width:390px;height:2000px;border:0"></iframe><pre id="out"></pre>
<script>
document.querySelector("iframe").addEventListener("load", (event) => {
  const page = event.target.contentDocument, root = page.documentElement;
  page.querySelectorAll("details").forEach((part) => { part.open = true; });
  document.getElementById("out").textContent = JSON.stringify({
    view: root.clientWidth, width: root.scrollWidth,
    images: [...page.images].map((image) => [image.naturalWidth, image.getBoundingClientRect().width]),
    loaded: event.target.contentWindow.performance.getEntriesByType("resource").map((entry) => entry.name),
    heading: page.querySelector("h1").textContent,
  });
});
</script>"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str, list[str]]]:
    """A folder, the address at which a browser finds it, and what was asked of it."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            asked.append(self.path)

    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
def test_in_a_real_browser(
    tmp_path: Path, served: tuple[Path, str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, address, asked = served
    one = write_run(tmp_path / ("a-very-long-name-of-a-run" * 4), **{"data.labels": "/a/long/path" * 20})
    add_trial(one)
    draw(one / "figures" / "attention-average-vit.png")
    reported(capsys, str(one), "--out", str(folder / "report.html"))
    (folder / "measure.html").write_text(MEASURE)
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=5000")
    profile, page = f"--user-data-dir={tmp_path / 'profile'}", f"{address}/measure.html"
    seen = subprocess.run(
        [str(BROWSER), *options, profile, "--dump-dom", page],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search(r'<pre id="out">(.+?)</pre>', seen.stdout, re.DOTALL)
    assert found, seen.stdout[-2000:]
    measured = json.loads(unescape(found[1]))
    assert measured["heading"].startswith("Run a-very-long-name")
    assert measured["width"] <= measured["view"] <= 390
    assert len(measured["images"]) == 4
    assert all(natural > 0 and 100 < shown <= 390 for natural, shown in measured["images"])
    assert measured["loaded"] == [] or all(name.startswith("data:") for name in measured["loaded"])
    assert "CONSOLE" not in seen.stderr, seen.stderr
    assert sorted(asked) == ["/measure.html", "/report.html"]
