"""The Dockerfile, read as a builder would: no engine builds it in the tests."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
Instruction = tuple[str, str]


def stages() -> dict[str, tuple[str, list[Instruction]]]:
    """Each stage by its name: what it begins with, and its instructions with what they say, in order."""
    text = re.sub(r"^#.*\n", "", (REPO / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: dict[str, tuple[str, list[Instruction]]] = {"": ("", [])}
    name = ""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            found[name] = (image, [])
        elif word:
            found[name][1].append((word, rest))
    return found


STAGES = stages()
FINAL = ("cpu", "cuda")


def of(stage: str) -> list[Instruction]:
    """The instructions of a stage and of those that it begins with."""
    image, own = STAGES[stage]
    return [*(of(image) if image in STAGES else []), *own]


def test_every_instruction_is_one_of_docker() -> None:
    known = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "RUN", "USER", "VOLUME", "WORKDIR"}
    assert {word for _, body in STAGES.values() for word, _ in body} <= known
    assert list(STAGES) == ["", "wheel", "base", *FINAL]  # the last is what `docker build .` makes
    assert {image for image, _ in STAGES.values()} == {"", "base", "python:${PYTHON}-slim"}


def test_what_is_copied_is_there_and_goes_to_the_builder() -> None:
    lines = (REPO / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = [line[1:] for line in lines if line.startswith("!")]
    assert "*" in lines and not any(fnmatch(".git", pattern) for pattern in sent)
    copied = {
        name for _, body in STAGES.values() for word, rest in body if word == "COPY" for name in rest.split()[:-1]
    }
    assert copied == set(sent)
    assert all((REPO / name).exists() for name in copied)


def test_all_that_the_wheel_is_made_of_is_copied() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))
    build = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*build["packages"], *build["force-include"], project["project"]["readme"], "LICENSE", "pyproject.toml"}
    copied = {name for word, rest in STAGES["wheel"][1] if word == "COPY" for name in rest.split()[:-1]}
    assert needed <= copied


@pytest.mark.parametrize("stage", FINAL)
def test_who_runs_it_is_not_root_and_can_be_anybody(stage: str) -> None:
    body = of(stage)
    users = [rest for word, rest in body if word == "USER"]
    assert users == ["cass"] and body.index(("USER", "cass")) > max(
        i for i, (word, _) in enumerate(body) if word == "RUN"
    )
    made = next(rest for word, rest in body if word == "RUN" and "useradd" in rest)
    assert re.search(r"useradd --uid [1-9]\d* ", made) and "mkdir -m 1777 /cache /weights /cass" in made
    assert ("ENTRYPOINT", '["cass"]') in body
    variables = dict(pair.split("=", 1) for word, rest in body if word == "ENV" for pair in rest.split())
    kept = {name: value for name, value in variables.items() if name.endswith(("CACHE", "_HOME", "DIR", "WEIGHTS"))}
    assert {"CASS_CACHE", "CASS_WEIGHTS", "HF_HOME", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR"} <= set(kept)
    assert all(value.startswith(("/cache", "/weights")) for value in kept.values())


def test_versions_are_those_of_the_constraints() -> None:
    installs = [command for _, body in STAGES.values() for word, command in body if word == "RUN" and "pip " in command]
    assert len(installs) == 5 and all("-c constraints.txt" in c or "-c /constraints.txt" in c for c in installs)
    pinned = re.findall(r"^([\w-]+)==", (REPO / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"torch", "torchvision", "hatchling"} <= set(pinned)
    extras = next(rest for word, rest in STAGES[""][1] if word == "ARG" and rest.startswith("EXTRAS="))
    for stage in FINAL:  # not every builder hands an argument on from the stage that this one begins with
        own = STAGES[stage][1]
        assert own.index(("ARG", "EXTRAS")) < next(i for i, (_, rest) in enumerate(own) if "$EXTRAS" in rest)
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(extras.partition("=")[2].split(",")) <= set(project["optional-dependencies"])


def test_no_host_and_no_secret_is_named() -> None:
    text = (REPO / "Dockerfile").read_text(encoding="utf-8")
    assert not re.search(r"https?://|\w\.(com|org|io)\b|token|password", text, re.IGNORECASE)
