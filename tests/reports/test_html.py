"""The report's page: it loads nothing, hides nothing from those who do not see it, and says what the run says."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cass_cli.errors import RunError
from cass_cli.reports.html import check_replaceable, render, show_written, write_report
from cass_cli.runs.facts import gather_report
from cass_cli.runs.names import find_runs
from tests.reports.runs_on_disk import SCORES, add_trial, draw, write_run

pytestmark = pytest.mark.drawn


class Page(HTMLParser):
    """The tags, the text and the style of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = self.style = ""
        self._inside = ""
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.style += data
        else:
            self.text += f" {data}"

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self._inside = ""

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def values(self) -> set[float]:
        return {float(data["value"]) for data in self.all("data")}


def page_of(*runs: Path) -> Page:
    return Page(render(gather_report(find_runs(Path("runs"), [str(run) for run in runs]))))


def full_run(path: Path) -> Path:
    write_run(path)
    add_trial(path)
    add_trial(path, seed=1)
    draw(path / "figures" / "attention-average-vit.png")
    draw(path / "figures" / "<i>own&.png")
    return path


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run with everything in it, and its page."""
    path = full_run(tmp_path_factory.mktemp("runs") / "one")
    return path, render(gather_report(find_runs(Path(), [str(path)])))


@pytest.fixture
def run(tmp_path: Path, no_curves: None) -> Path:
    """Another, to be changed."""
    return full_run(tmp_path / "one")


@pytest.fixture
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the curves, which take longest to draw, where a test is not about them."""
    monkeypatch.setattr("cass_cli.reports.html.curves", lambda _facts: [])


def test_loads_nothing_and_runs_no_script(told: tuple[Path, str]) -> None:
    page = Page(told[1])
    assert not page.all("script") and not page.all("iframe")
    for _, attributes in page.tags:
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith(("#", "data:"))
        assert not [name for name in attributes if name.startswith("on") or name in ("srcset", "style", "action")]
    assert page.style and "url(" not in page.style and "@import" not in page.style
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert "default-src 'none'" in policy


def test_every_figure_has_words_and_is_the_file(told: tuple[Path, str]) -> None:
    run, page = told[0], Page(told[1])
    images = page.all("img")
    assert len(images) == 2 + 2 + 2  # curves, trials, figures of the run
    assert all(image["alt"].strip() for image in images)
    assert len({image["alt"] for image in images}) == 5  # the trials' confusion matrices are alike
    held = {image["src"].partition("base64,")[2] for image in images}
    for path in run.rglob("*.png"):
        assert base64.b64encode(path.read_bytes()).decode() in held
    assert any("<b>& 2 of 2, plain 1 of 2" in image["alt"] for image in images)


def test_contents_lead_somewhere(run: Path, told: tuple[Path, str], tmp_path: Path) -> None:
    for page in (Page(told[1]), page_of(run, write_run(tmp_path / "two"))):
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        links = {link["href"].removeprefix("#") for link in page.all("a")}
        assert links == set(ids)


def test_names_are_never_markup(told: tuple[Path, str]) -> None:
    page = Page(told[1])
    assert not page.all("b") and not page.all("i")
    assert "<b>&" in page.text and "Figure <i>own&" in page.text


def test_no_folder_of_the_machine_is_told(told: tuple[Path, str]) -> None:
    run, page = told
    assert not {str(place) for place in (run.parent, run.parent.resolve(), Path.home()) if str(place) in page}


def test_numbers_are_those_of_the_run(told: tuple[Path, str]) -> None:
    run, page = told[0], Page(told[1])
    summary = json.loads((run / "summary.json").read_text())
    gauges = [value for arm in summary["gauges"].values() for kind in arm.values() for value in kind.values()]
    assert {summary["loss"], *gauges, *SCORES.values()} <= page.values()
    assert {value + 0.01 for value in SCORES.values()} <= page.values()  # seed 1, which has no evaluation of its own
    assert "0.712 0.662–0.762" in page.text
    assert "6 s, all epochs together" in page.text and "7 s for 2 trials" in page.text
    assert "2 images a second" in page.text and "25.0 % of that time" in page.text
    assert "cass pretrain --data 'my images'" in page.text


def test_changed_settings_come_first(told: tuple[Path, str]) -> None:
    before, _, within = told[1].partition("<details>")
    assert "optim.lr" in before and "1.5e-05" in before and ">flag<" in before
    assert "arms.cnn" not in before.partition("<thead>")[2] and "arms.cnn" in within


def test_images_by_class_and_split(tmp_path: Path, no_curves: None) -> None:
    images = (("train", "cat", "p1"), ("train", "dog", "p2"), ("val", "cat", "p3"), ("test", "cat", "p1"))
    page = page_of(write_run(tmp_path / "run", splits=images))
    assert "cat 1 1 1 3 dog 1 0 0 1 images 2 1 1 4" in page.text
    assert "1 group (patients or lesions) in several splits" in page.text
    assert "were not measured for this report" in page.text and "--check-leaks" in page.text


def test_a_table_of_many_classes_is_folded_and_whole(tmp_path: Path, no_curves: None) -> None:
    images = tuple((split, f"class {c:02d}", "") for c in range(40) for split in ("train", "test"))
    page = page_of(write_run(tmp_path / "run", splits=images))
    assert "40 classes: 40 train, 0 val, 40 test images" in page.text
    assert all(f"class {c:02d} 1 0 1 2" in page.text for c in range(40))
    few = page_of(write_run(tmp_path / "few", splits=images[:20]))
    assert "10 classes: " not in few.text


def test_images_of_several_classes_count_for_each(tmp_path: Path) -> None:
    images = (("train", "cat;dog", ""), ("train", "dog", ""), ("test", "", ""))
    found = gather_report(find_runs(Path(), [str(write_run(tmp_path / "run", splits=images))])).runs[0].images
    assert found is not None and found.several and found.images == 3
    assert {name: counts["train"] for name, counts in found.class_counts.items()} == {
        "cat": 1,
        "dog": 2,
        "(no label)": 0,
    }


def test_a_run_that_names_no_images_has_a_report(run: Path) -> None:
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(re.sub(r"^  path: .*$", "  path: null", config, count=1, flags=re.MULTILINE))
    page = page_of(run)
    assert "Everything on this page comes from" in page.text


def test_an_unfinished_run_is_called_so(tmp_path: Path, no_curves: None) -> None:
    page = page_of(write_run(tmp_path / "run", epochs=9, done=2))
    assert "This run is unfinished" in page.text and "2 of 9 epochs" in page.text
    assert f"cass pretrain --resume --runs {tmp_path.name} --name run" in page.text
    page = page_of(write_run(tmp_path / "begun", epochs=9, done=0))
    assert "This run is unfinished" in page.text and "No epoch has ended yet" in page.text
    assert "is unfinished" not in page_of(write_run(tmp_path / "whole")).text


def test_a_run_without_fine_tuning_or_figures(tmp_path: Path, no_curves: None) -> None:
    page = page_of(write_run(tmp_path / "run"))
    assert "has not been fine-tuned" in page.text and "cass finetune --run" in page.text
    assert "No figures have been made yet" in page.text


def test_fine_tuning_without_any_pretraining(run: Path) -> None:
    for name in ("metrics.jsonl", "summary.json"):
        (run / name).unlink()
    page = page_of(run)
    assert "Nothing was pretrained here" in page.text and "is unfinished" not in page.text
    assert "Learning or collapsing?" not in page.text and set(SCORES.values()) <= page.values()


def test_collapse_is_not_hidden(tmp_path: Path, no_curves: None) -> None:
    assert "An arm has collapsed" in page_of(write_run(tmp_path / "bad", state="collapsed")).text
    assert "An arm has collapsed" not in page_of(write_run(tmp_path / "good")).text


def test_unfinished_trials_are_counted(run: Path) -> None:
    (run / "finetune" / "pretrained-paper" / "1" / "seed2").mkdir()
    assert "1 trial of this fine-tuning is unfinished" in page_of(run).text


def test_several_runs_are_compared_as_cass_compare_does(run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", state="collapsed")
    for seed in (0, 1):
        add_trial(other, seed=seed, variant="imagenet-paper", init="imagenet")
    page = page_of(run, other)
    assert "All runs side by side" in page.text
    assert page.text.count("Technique") == 1
    assert "CASS and Transfer give the same macro F1 on all 2 seeds" in page.text


def test_what_is_whole_is_shown_and_what_is_not_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = run / "figures" / "attention-average-vit.png"
    figure.write_bytes(figure.read_bytes()[:100])
    (run / "summary.json").write_text("{}")
    trial = run / "finetune" / "pretrained-paper" / "1" / "seed0"
    evaluation = json.loads((trial / "evaluation-test.json").read_text())
    (trial / "evaluation-test.json").write_text(json.dumps(evaluation | {"recommended": "nobody"}))
    (trial.with_name("seed1") / "summary.json").write_text("[]")
    report = gather_report(find_runs(Path(), [str(run)]))
    said = report.runs[0].damaged
    named = ("one/summary.json", "seed0/evaluation-test.json", "seed1/summary.json", figure.name)
    assert all(name in sentence for name, sentence in zip(named, said, strict=True)), said
    show_written(report, run / "report.html", 1, as_json=False)
    page, terminal = page_of(run), capsys.readouterr().out
    assert all(sentence in terminal for sentence in said)
    assert all(sentence.replace(f"{run.parent}/", "") in page.text for sentence in said)
    assert "Recommended" not in page.text
    assert [tuned.trial.seed for tuned in report.runs[0].finetunings[0].trials] == [0]
    assert report.comparison
    assert [cell.values.keys() for cell in report.comparison.cells if cell.candidate == "cnn"] == [{0}]


def test_a_run_without_readable_settings_is_shown_without_them(run: Path) -> None:
    (run / "config.yaml").write_text("")
    facts = gather_report(find_runs(Path(), [str(run)])).runs[0]
    assert (facts.state, facts.settings, facts.epochs, len(facts.damaged)) == ("damaged", (), 3, 1)
    page = page_of(run)
    assert "config.yaml is damaged: it has no section arm" in page.text
    assert "Its settings cannot be read; 3 epochs" in page.text


def test_a_run_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("")
    with pytest.raises(RunError, match=r"Nothing of .* can be read. .*config\.yaml is damaged"):
        gather_report(find_runs(Path(), [str(tmp_path)]))


def test_replaces_a_report_and_nothing_else(run: Path, tmp_path: Path) -> None:
    report = gather_report(find_runs(Path(), [str(run)]))
    page = tmp_path / "new" / "page.html"
    assert write_report(report, page) == page.stat().st_size
    check_replaceable(page)
    mine = tmp_path / "mine.html"
    mine.write_text("<html>by hand</html>")
    with pytest.raises(RunError, match="no page of cass report"):
        write_report(report, mine)
    assert mine.read_text() == "<html>by hand</html>"
    with pytest.raises(RunError, match="is a folder"):
        check_replaceable(tmp_path)
