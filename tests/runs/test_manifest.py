"""What a run was made from is compared before it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cass_cli import files
from cass_cli.data.fingerprints import Fingerprint, differences
from cass_cli.errors import RunError
from cass_cli.files import write_text
from cass_cli.runs import made_from
from cass_cli.runs import manifest as manifests
from cass_cli.runs.made_from import MadeFrom, check_made_from, read_made_from, write_made_from
from cass_cli.runs.manifest import NAME, check_files, read_manifest, replace_recorded, write_manifest

IMAGES = {"é/ü.png": Fingerprint(10, 100, "aa"), "b.png": Fingerprint(20, 200, "bb")}
LABELS = {"é/ü.png": "dark", "b.png": "light"}
MADE_FROM = MadeFrom(IMAGES, LABELS)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text("lr: 1\n")
    (tmp_path / "splits.csv").write_text("image,split\n")
    write_made_from(tmp_path, MADE_FROM)
    write_manifest(tmp_path, ("config.yaml", "splits.csv", made_from.NAME))
    return tmp_path


def test_it_reads_what_it_wrote(run: Path) -> None:
    assert read_made_from(run) == MADE_FROM
    check_files(run)
    assert check_made_from(run, MADE_FROM) == ""


def test_changed_files_are_named(run: Path) -> None:
    (run / "config.yaml").write_text("lr: 2\n")
    (run / "splits.csv").unlink()
    with pytest.raises(RunError, match=r"config\.yaml, .*splits\.csv"):
        check_files(run)


def test_without_a_manifest_all_is_believed(run: Path) -> None:
    (run / NAME).unlink()
    (run / made_from.NAME).unlink()
    (run / "config.yaml").write_text("lr: 2\n")
    check_files(run)
    assert check_made_from(run, MadeFrom({}, {})) == ""


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "files": []}', '{"format": 2, "files": {}}', "\0"])
def test_a_damaged_one_is_said(run: Path, text: str) -> None:
    (run / NAME).write_text(text)
    with pytest.raises(RunError, match=r"manifest\.json is damaged"):
        check_files(run)


@pytest.mark.parametrize("dies", range(1, 4))
def test_a_file_and_its_digest_agree_whenever_the_process_dies(
    run: Path, monkeypatch: pytest.MonkeyPatch, dies: int
) -> None:
    writes, usual = 0, write_text

    def write(path: Path, text: str, *, hint: str = "") -> None:
        nonlocal writes
        writes += 1
        if writes == dies:
            raise KeyboardInterrupt
        usual(path, text)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(manifests, "write_text", write)
        patch.setattr(files, "write_text", write)
        replace_recorded(run / "config.yaml", "lr: 3\n")
    check_files(run)
    replace_recorded(run / "config.yaml", "lr: 3\n")
    check_files(run)
    read = read_manifest(run)
    assert read is not None
    assert len(read["config.yaml"]) == 1


def test_sizes_and_contents_decide_and_times_are_noted() -> None:
    stat = {name: Fingerprint(one.size, one.time) for name, one in IMAGES.items()}
    assert differences(IMAGES, stat) == ("", "")
    assert differences(IMAGES, {**stat, "b.png": Fingerprint(20, 201)}) == ("", "1 file of another time (b.png)")
    assert differences(IMAGES, {**IMAGES, "b.png": Fingerprint(20, 201, "bb")}) == ("", "")
    assert differences(IMAGES, {**IMAGES, "b.png": Fingerprint(20, 200, "cc")})[0] == "1 file of other contents (b.png)"
    assert differences(IMAGES, {**stat, "b.png": Fingerprint(21, 200)})[0] == "1 file of another size (b.png)"
    assert differences(IMAGES, {"b.png": stat["b.png"], "c": Fingerprint(1, 1)})[0] == (
        "1 file gone (é/ü.png); 1 file new (c)"
    )


def test_other_images_and_labels_are_named(run: Path) -> None:
    with pytest.raises(RunError, match=r"1 file of another size \(b\.png\)"):
        check_made_from(run, MadeFrom({**IMAGES, "b.png": Fingerprint(1, 1)}, LABELS))
    for labels in ({**LABELS, "b.png": "dark"}, {"é/ü.png": "dark"}, {**LABELS, "c": "dark"}):
        with pytest.raises(RunError, match="1 image labelled otherwise"):
            check_made_from(run, MadeFrom(IMAGES, labels))


def test_another_time_is_noted_until_it_was_verified(run: Path) -> None:
    copied = {name: Fingerprint(one.size, 9) for name, one in IMAGES.items()}
    assert "2 files of another time" in check_made_from(run, MadeFrom(copied, LABELS))
    read = {name: Fingerprint(one.size, 9, one.digest) for name, one in IMAGES.items()}
    assert check_made_from(run, MadeFrom(read, LABELS)) == ""
    assert check_made_from(run, MadeFrom(copied, LABELS)) == ""
    assert read_made_from(run) == MadeFrom(read, LABELS)
    check_files(run)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "a\0b", "..", ""])
def test_a_manifest_is_of_files_beside_it_alone(run: Path, name: str) -> None:
    """Else it tells a stranger, whose run goes on, whether a file elsewhere is the one that they think."""
    (run / NAME).write_text(json.dumps({"format": 1, "files": {name: ["0" * 64]}}))
    with pytest.raises(RunError, match="do not lie beside it"):
        check_files(run)


@pytest.mark.parametrize("text", ["[" * 10**5, '{"images": {"a": [1e999, 1, ""]}, "labels": {}}'])
def test_odd_images_are_damage(run: Path, text: str) -> None:
    (run / made_from.NAME).write_text(text)
    with pytest.raises(RunError, match="damaged"):
        read_made_from(run)
