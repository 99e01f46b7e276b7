"""`cass weights`: which files of published weights are needed and where they lie, whether they are whole, fetching.

They lie in one folder, named by `$CASS_WEIGHTS`, and their digests in `SHA256SUMS` beside them, as sha256sum has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import timm

from cass_cli.config.load import resolve
from cass_cli.config.presets import preset_layer, preset_names
from cass_cli.errors import ModelError, RunError
from cass_cli.files import whole_file, write_text
from cass_cli.models.hub import fetch_pretrained
from cass_cli.models.published import ENDINGS, VARIABLE, bytes_of, file_in, file_in_cache, published, weights_folder
from cass_cli.models.sealed import sealed
from cass_cli.models.unreal import unreal
from cass_cli.models.weights import check_finite, fitting, read_tensors, sha256_of
from cass_cli.reading import read_bytes
from cass_cli.words import shown

SUMS = "SHA256SUMS"
MOST_BYTES = 1_000_000  # of it
LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
FOLDER, CACHE = "folder", "cache"


@dataclass(frozen=True)
class NeededFile:
    """The weights of one model: what timm says of them, and where they lie."""

    model: str
    file: str  # under which name the folder should have them
    presets: tuple[str, ...]  # that start from them
    hub: str
    url: str  # where they are had if not from the hub
    licence: str
    bytes: int  # of the file, or by the model's form
    where: str  # "folder", "cache" or ""
    path: Path | None


@dataclass(frozen=True)
class CheckedFile:
    """A file of weights, and whether all is well with it."""

    path: Path
    model: str  # that its name tells; "" where timm has none of that name
    bytes: int
    sha256: str
    listed: bool | None  # whether SHA256SUMS has this digest; None: it does not name the file
    fits: str  # "122 of 122 tensors of resnet18, all finite"
    problem: str  # "" where there is none


@dataclass(frozen=True)
class FetchedFile:
    """A file of weights that now lies in the folder."""

    model: str
    path: Path
    bytes: int
    sha256: str
    licence: str
    was_there: bool


def needed_models(
    models: Collection[str] = (), *, preset: str | None = None, cnn: str | None = None, vit: str | None = None
) -> dict[str, tuple[str, ...]]:
    """Return the models whose weights are asked for, each with the presets that start from it.

    Those are the `models`, the `preset`'s with `cnn` and `vit` in the place of its arms, or with nothing of these all
    presets'. A preset that starts at random needs none.
    """
    named = [*models, *(name for name in (cnn, vit) if name)]
    found: dict[str, tuple[str, ...]] = dict.fromkeys(named, ())
    for name in [preset] if preset else [] if named else preset_names():
        arms = resolve([preset_layer(name)]).config.arms
        own = {"cnn": arms.cnn, "vit": arms.vit} if arms.init == "imagenet" else {}
        for arm, instead in (("cnn", cnn), ("vit", vit)):
            if model := "" if instead else own.get(arm, ""):
                found[model] = (*found.get(model, ()), name)
    return found


def list_weights(needed: Mapping[str, tuple[str, ...]]) -> tuple[NeededFile, ...]:
    """Return what is known of the weights of the models that `needed_models` gave, and where they are now."""
    return tuple(_needed(model, presets, weights_folder()) for model, presets in needed.items())


def _needed(model: str, presets: tuple[str, ...], folder: Path | None) -> NeededFile:
    known = published(model)
    there = file_in(folder, known)
    path = there or file_in_cache(known)
    return NeededFile(
        model=model,
        file=known.file,
        presets=presets,
        hub=known.hub,
        url=known.url,
        licence=known.licence,
        bytes=path.stat().st_size if path else bytes_of(model),
        where=FOLDER if there else CACHE if path else "",
        path=path,
    )


def check_weights(
    paths: Sequence[Path], *, on_file: Callable[[Path], None] = lambda _path: None
) -> tuple[CheckedFile, ...]:
    """Read the files of weights among `paths`, files and folders of them, by default those of `$CASS_WEIGHTS`.

    Raises `ModelError` where there are none.
    """
    places = list(paths) or [asked_folder("the files, or their folder")]
    found: list[CheckedFile] = []
    for place in places:
        if not place.exists():
            raise ModelError(f"There is no {shown(str(place))}.", hint="Name files of weights, or a folder of them.")
        folder = place if place.is_dir() else place.parent
        sums = read_sums(folder)
        files = _weight_files(place) if place.is_dir() else [place]
        for path in files:
            on_file(path)
            found.append(_checked(path, sums.get(path.name)))
        lost = sorted(name for name in sums if place.is_dir() and not (folder / name).is_file())
        found += [CheckedFile(folder / name, "", 0, "", None, "", f"{SUMS} names it, and it is gone") for name in lost]
    if not found:
        raise ModelError(
            f"No file of weights ({', '.join(ENDINGS)}) lies in {shown(str(places[0]))}.",
            hint="Which are needed: cass weights list",
        )
    return tuple(found)


def _weight_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in ENDINGS and path.is_file())


def _checked(path: Path, said: str | None) -> CheckedFile:
    """Read one file, as training reads it, into the form of the model that its name tells."""
    model = model_of(path)
    if not path.is_file():
        return CheckedFile(path, model, 0, "", None, "", "it is no file")
    try:
        size, sha256 = path.stat().st_size, sha256_of(path)
    except OSError as error:
        return CheckedFile(path, model, 0, "", None, "", error.strerror or str(error))
    fits, problem = "", ""
    try:
        if model:
            with unreal():
                form = timm.create_model(model)
            report = fitting(form, path)[1]
            absent = f"; absent: {', '.join(report.missing)}" if report.missing else ""
            fits = f"{report.matched} of {report.total} tensors of {model}, all finite{absent}"
        else:
            check_finite(read_tensors(path), path)
    except ModelError as error:
        problem = error.what.removeprefix(f"{path} ").removesuffix(".")
    listed = None if said is None else said == sha256
    if listed is False:
        problem = f"it is not the file that {SUMS} tells of: that has sha256 {said}" + (
            f"; {problem}" if problem else ""
        )
    return CheckedFile(path, model, size, sha256, listed, fits, problem)


def model_of(path: Path) -> str:
    """Return the timm model whose weights a file holds by its name, "" where there is none of that name.

    A tag that timm does not know may be one's own.
    """
    stem = path.name.removesuffix(path.suffix)
    for name in (stem, stem.partition(".")[0]):
        with suppress(ModelError):
            return published(name).model
    return ""


def asked_folder(instead: str) -> Path:
    """Return the folder that `$CASS_WEIGHTS` names; raise `ModelError`, saying what to name `instead`, for none."""
    folder = weights_folder()
    if folder is None:
        raise ModelError(
            f"${VARIABLE} names no folder.", hint=f"Name one: export {VARIABLE}=FOLDER; or name {instead}."
        )
    return folder


def fetch_weights(
    models: Iterable[str], folder: Path, *, on_model: Callable[[str], None] = lambda _model: None
) -> tuple[FetchedFile, ...]:
    """Bring the weights of the models into `folder`, and their digests into SHA256SUMS there, one after the other.

    timm fetches and reads them; they are kept as the model's own tensors, which any program reads. What lies there
    already stays. Raises `ModelError` where the hub is not reached, `RunError` where the folder cannot be written.
    """
    known = [published(model) for model in models]  # a wrong name is told before anything is fetched
    found = []
    for one in known:
        on_model(one.model)
        path = file_in(folder, one)
        was_there = path is not None
        if path is None:
            path = folder / one.file
            _fetch(one.model, path, source=one.hub or one.url, licence=one.licence)
        sha256 = sha256_of(path)
        add_sum(folder, path.name, sha256)
        found.append(FetchedFile(one.model, path, path.stat().st_size, sha256, one.licence, was_there))
    return tuple(found)


def _fetch(model: str, path: Path, *, source: str, licence: str) -> None:
    tensors = {name: value.contiguous().clone() for name, value in fetch_pretrained(model, {}).state_dict().items()}
    about = {"format": "pt", "model": model, "source": source, "licence": licence, "timm": timm.__version__}
    with whole_file(path) as file:
        file.writelines(sealed(tensors, about))


def read_sums(folder: Path) -> dict[str, str]:
    """Return the digests that SHA256SUMS in `folder` tells, by file; none where there is no such file.

    Raises `ModelError` for a line that is none.
    """
    path = folder / SUMS
    try:
        text = read_bytes(path, MOST_BYTES).decode("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{shown(str(path))} cannot be read: {error}.", hint="Remove it, or put it back.") from error
    sums = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = LINE.fullmatch(line)
        if not match:
            raise ModelError(
                f"Line {number} of {shown(str(path))} is not of the form SHA256  NAME.", hint="Write it with sha256sum."
            )
        sums[match[2]] = match[1].lower()
    return sums


def add_sum(folder: Path, name: str, sha256: str) -> None:
    """Write the digest of a file of `folder` into SHA256SUMS there; raise `RunError` where it has another one."""
    sums = read_sums(folder)
    if sums.get(name, sha256) != sha256:
        raise RunError(
            f"{shown(name)} in {shown(str(folder))} is not the file that {SUMS} there tells of.",
            hint="Remove the file, and fetch it again.",
        )
    if name not in sums:
        sums[name] = sha256
        write_text(folder / SUMS, "".join(f"{digest}  {file}\n" for file, digest in sorted(sums.items())))
