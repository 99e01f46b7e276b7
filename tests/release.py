"""Is what is built what is meant, and does it run where nothing is installed? `make dist` builds what this looks at.

`make dist-check`: the wheel holds the package, its presets and experiments, the sdist builds the same wheel, and the
wheel's commands run outside the checkout. The other packages are borrowed from the environment that runs this, so it
is a matter of seconds, and CI does it. `make release-check` borrows nothing: for each Python it makes an empty
environment outside the repository, installs the wheel with the versions of constraints.txt, runs the README's first
command in an empty folder, and removes it all: a few minutes and 6 GB each.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
FIRST = ("pretrain", "--preset", "demo")  # what the README tries first
ARMS = {"cnn.safetensors", "vit.safetensors"}


def said(command: list[str | Path], folder: Path) -> str:
    """Return what a command says in `folder`, which none of this checkout's files can help; end where it fails."""
    borrowed = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CASS_DATA"}
    variables = {key: value for key, value in os.environ.items() if key not in borrowed}
    variables["CASS_CACHE"] = str(folder / "cache")
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def built(kind: str) -> Path:
    """Return the only file of dist/ that ends so."""
    files = sorted((ROOT / "dist").glob(f"*{kind}"))
    if len(files) != 1:
        sys.exit(f"dist/ holds {len(files)} files *{kind}, not one: make clean dist")
    return files[0]


def check_contents(wheel: Path) -> None:
    """End unless the wheel holds every file of the package, of presets/ and of experiments/, and no other."""
    beside = {f"cass_cli/{name}/{path.name}" for name in ("presets", "experiments") for path in (ROOT / name).iterdir()}
    files = (path for path in (ROOT / "cass_cli").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    meant = {path.relative_to(ROOT).as_posix() for path in files} | beside
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    if held != meant:
        sys.exit(f"{wheel.name} lacks {sorted(meant - held)}, and holds {sorted(held - meant)} besides.")
    print(f"{wheel.name} holds all {len(held)} files of the package, its presets and experiments.")


def check_sdist(sdist: Path, wheel: Path, folder: Path) -> None:
    """End unless the sdist builds this very wheel."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    said([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "again"], unpacked)
    if (folder / "again" / wheel.name).read_bytes() != wheel.read_bytes():
        sys.exit(f"{sdist.name} builds another wheel than {wheel.name}.")
    print(f"{sdist.name} builds the same wheel, byte for byte.")


def check_runs(wheel: Path, folder: Path) -> None:
    """End unless the wheel's commands run with the packages that are installed here, but without this checkout."""
    place, work = folder / "environment", folder / "work"
    work.mkdir()
    said([sys.executable, "-m", "venv", "--without-pip", place], work)
    python, cass = place / "bin" / "python", place / "bin" / "cass"
    quiet = ["--quiet", "--disable-pip-version-check"]
    said([sys.executable, "-m", "pip", "--python", python, "install", *quiet, "--no-deps", "--no-index", wheel], work)
    own = Path(said([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], work).strip())
    packages = [path for path in sys.path if path.endswith("-packages")]  # .pth files in these are not read there
    (own / "borrowed.pth").write_text("\n".join(packages) + "\n")
    where = said([python, "-c", "import cass_cli; print(cass_cli.load_run.__module__, cass_cli.__file__)"], work)
    if str(own.resolve()) not in str(Path(where.split()[1]).resolve()):
        sys.exit(f"cass_cli was imported from elsewhere: {where}")
    version = said([cass, "--version"], work).split()[1]
    if f"-{version}-" not in wheel.name:
        sys.exit(f"{wheel.name} says that it is {version}.")
    listed = said([cass, "presets"], work)
    if missing := [path.stem for path in (ROOT / "presets").glob("*.yaml") if path.stem not in listed]:
        sys.exit(f"`cass presets` does not list {missing}.")
    if "Nothing was run." not in said([cass, *FIRST, "--dry-run"], work):
        sys.exit("The dry run of the first command does not say so.")
    print(f"cass {version} runs from the wheel: presets, {' '.join(FIRST)} --dry-run, cass_cli.load_run.")


def check_empty(python: str, wheel: Path) -> None:
    """Install the wheel into an empty environment of this Python, run the first command, and say how long each took."""
    with tempfile.TemporaryDirectory(prefix="cass-release-") as base:
        folder, began = Path(base), time.monotonic()
        work = folder / "work"
        work.mkdir()
        said([python, "-m", "venv", folder / "environment"], work)
        bin_ = folder / "environment" / "bin"
        version = said([bin_ / "python", "--version"], work).split()[1]
        pip = [bin_ / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        said([*pip, "--no-cache-dir", "--no-compile", "-c", ROOT / "constraints.txt", wheel], work)
        installed = time.monotonic() - began
        said([bin_ / "cass", *FIRST], work)
        took = time.monotonic() - began - installed
        arms = {path.name for path in work.glob("runs/*/arms/*.safetensors")}
        if not arms >= ARMS:
            sys.exit(f"Python {version}: the first command left {sorted(arms)}.")
        print(
            f"Python {version}: {wheel.name} installed in {installed:.0f} s, cass {' '.join(FIRST)} in {took:.0f} s, "
            f"arms {', '.join(sorted(Path(name).stem for name in arms))}.",
            flush=True,
        )


def main(pythons: list[str]) -> None:
    """Check what is in dist/: with these Pythons in empty environments, or without any in a borrowed one."""
    wheel = built(".whl")
    if not pythons:
        check_contents(wheel)
        with tempfile.TemporaryDirectory(prefix="cass-release-") as base:
            check_sdist(built(".tar.gz"), wheel, Path(base))
            check_runs(wheel, Path(base))
    for python in pythons:
        check_empty(python, wheel)


if __name__ == "__main__":
    main(sys.argv[1:])
