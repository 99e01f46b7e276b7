"""YAML that a stranger wrote says what it seems to say, or is refused at once."""

from __future__ import annotations

from pathlib import Path
from time import process_time

import pytest

from cass_cli.config.load import parse_assignments, read_config_file, read_saved, resolve, to_yaml
from cass_cli.config.plain_yaml import plain_yaml
from cass_cli.errors import ConfigError


def test_plain_settings_are_read_as_ever() -> None:
    read = plain_yaml("a: {b: [1, 2.5, 1e-4, true, null, text, 0x10]}\n'c d': |\n  two\n  lines\n")
    assert read == {"a": {"b": [1, 2.5, "1e-4", True, None, "text", 16]}, "c d": "two\nlines\n"}
    assert plain_yaml("# nothing") is None


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]\n" for i in range(9))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "alias"),
        ("a: &a {b: *a}", "alias"),
        ("a:\n  <<: {b: 1}", "merge"),
        ("a: 1\nb: 2\na: 3", "twice: a"),
        ("a: {b: 1, 'b': 2}", "twice: b"),
        ("[" * 100_000, "in each other"),
        ("- " * 5000, "in each other"),
        ("a: " + "1" * 5000, "5,000 characters"),
        ("a: 0x" + "f" * 20_000, "characters"),
        ("a: " + ":".join(["59"] * 30_000), "characters"),
        ("a: 1." + "1" * 5000, "characters"),
        ("a: !!python/object/apply:os.system [x]", "python/object"),
        ("a: !!bool maybe", "bool.* is not read"),
        ("a: !!int ''", "int.* is not read"),
        ("a: !!timestamp noon", "timestamp.* is not read"),
        ("!!set {x}", "set.* is not read"),
        ("# much\n" * 100_000, "kB"),
        ("a: \x00", "characters that are no text"),
        ("a: [1", "line 1"),
    ],
)
def test_what_is_more_than_it_seems_is_refused_at_once(text: str, said: str) -> None:
    began = process_time()
    with pytest.raises(ValueError, match=said) as raised:
        plain_yaml(text)
    assert process_time() - began < 5
    assert len(str(raised.value)) < 400
    assert str(raised.value).isprintable()


def test_a_file_and_an_assignment_say_so_in_words(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("optim: {lr: 1, lr: 2}")
    with pytest.raises(ConfigError, match=r"a\.yaml is not valid YAML: stands twice: lr \(line 1"):
        read_config_file(tmp_path / "a.yaml", "file")
    with pytest.raises(ConfigError, match="in each other"):
        parse_assignments(["optim.lr=" + "[" * 10_000])


def test_unknown_keys_are_told_briefly_and_fit_for_a_terminal(tmp_path: Path) -> None:
    keys = [f"optm{i}" for i in range(5000)]
    (tmp_path / "a.yaml").write_text('"\\e[31m": 1\n' + "".join(f"{key}: 1\n" for key in [*keys, "a" * 1000]))
    began = process_time()
    with pytest.raises(ConfigError) as raised:
        resolve([read_config_file(tmp_path / "a.yaml", "file")])
    assert process_time() - began < 10
    assert len(str(raised.value)) < 5000
    assert "and 4,982 more" in str(raised.value)
    assert 0 < str(raised.value).count("Did you mean") <= 10, "each takes a while to find"
    assert "\x1b" not in str(raised.value)


def test_settings_of_a_run_fetch_nothing(tmp_path: Path) -> None:
    """A stranger's run could have a file written anywhere, under its data.path."""
    (tmp_path / "config.yaml").write_text(to_yaml(resolve([])).replace("download: false", "download: true"))
    assert "download: true" in (tmp_path / "config.yaml").read_text()
    assert not read_saved(tmp_path / "config.yaml").config.data.download
