"""Fetching timm's weights, from the hub above all; a missing network, or a hub that is down, is found in seconds.

There the hub's client asks six times, waiting longer each time, for each of the two files that timm asks for: a minute
or more. So the hub is first asked for the file once, with the client's own settings: its endpoint (`HF_ENDPOINT`), its
proxies and its patience (`HF_HUB_ETAG_TIMEOUT`). Where it answers, whatever but that it cannot now, it is there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from threading import Thread
from typing import Any

import timm
from torch import nn

from cass_cli.errors import ModelError
from cass_cli.models.published import ON_THE_HUB, VARIABLE, Published, file_in_cache, published, weights_folder
from cass_cli.models.weights import sha256_of
from cass_cli.words import shown

TRIES, PAUSE = 3, 1.0  # a name that is not resolved at once may be a moment later; seconds between two
LONGEST = 200  # characters of a reason
NOT_NOW = (429, 500, 502, 503, 504)  # to which the hub's client, too, asks again
REFUSED = (401, 403)
SHA256 = 64  # characters; what is no large file is named by less


def fetch_pretrained(name: str, options: Mapping[str, Any]) -> nn.Module:
    """Return the timm model `name` with its published weights, from the hub's cache or fetched.

    Raises `ModelError` where there are none, or where they cannot be had: that names the file and how to get it.
    """
    known = published(name)
    if not known.hub and not known.url:
        raise ModelError(f"timm has no ImageNet weights for '{name}'.", hint=_otherwise(known))
    fetching = bool(known.hub) and file_in_cache(known) is None
    if fetching and (why := why_unreachable(_address(known))):
        raise _not_fetched(known, why)
    try:
        model: nn.Module = timm.create_model(name, pretrained=True, **options)
    except Exception as error:
        if fetching and _removed(known):
            raise _damaged(known) from error
        status, why = _answer_of(error)
        raise _not_fetched(known, why or reason_of(error), refused=status in REFUSED) from error
    if fetching and _removed(known):
        raise _damaged(known)
    return model


def _address(known: Published) -> str:
    from huggingface_hub import hf_hub_url

    return hf_hub_url(known.hub, ON_THE_HUB[0])


def _removed(known: Published) -> bool:
    """Remove what the hub's client fetched if it is not what the hub told of, and return whether it was so.

    The client names a file as the hub does, a large one by its SHA-256, and holds only its size against that. Where a
    cache has no links, the name is lost, and nothing is said.
    """
    path = file_in_cache(known)
    if path is None:
        return False
    blob: Path = path.resolve()
    if len(blob.name) != SHA256 or sha256_of(blob) == blob.name:
        return False
    path.unlink()
    blob.unlink()
    return True


def why_unreachable(address: str = "", *, seconds: float = 0, tries: int = TRIES) -> str:
    """Return why the hub does not answer, or "" where it does; within `seconds`, by default half as many again as its
    client waits for an answer. Asked for is `address`, by default that of the hub itself. Resolving a name knows no
    limit of its own, so a thread asks, and is left behind.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE forbids it"
    patience = seconds or 1.5 * float(constants.HF_HUB_ETAG_TIMEOUT)
    answers: list[str] = []
    asking = Thread(target=_ask, args=(answers, address or constants.ENDPOINT, patience, tries), daemon=True)
    asking.start()
    asking.join(patience)
    return answers[0] if answers else f"no answer within {patience:g} s"


def _ask(answers: list[str], address: str, seconds: float, tries: int) -> None:
    from huggingface_hub import get_session

    why = ""
    for attempt in range(tries):
        if attempt:
            time.sleep(PAUSE)
        try:
            status = get_session().head(address, timeout=seconds).status_code
        except Exception as error:
            why = reason_of(_innermost(error))  # what lies around it may name addresses
        else:
            why = _told(status) if status in NOT_NOW else ""
        if not why:
            break
    answers.append(why)


def _told(status: int) -> str:
    return f"it answers {status} {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else f"it answers {status}"


def _answer_of(error: BaseException) -> tuple[int, str]:
    """Return the hub's answer that led to an error, as its number and in words; 0 and "" where there was none."""
    cause: BaseException | None = error
    while cause is not None:
        if (answer := getattr(cause, "response", None)) is not None:
            code = {
                "GatedRepo": "only who has accepted its terms gets it",
                "RepoNotFound": "it has none of that name, or not for everybody",
                "EntryNotFound": f"it has no {' or '.join(ON_THE_HUB)} there",
            }.get(answer.headers.get("X-Error-Code", ""))
            return answer.status_code, code or _told(answer.status_code)
        cause = cause.__cause__ or cause.__context__
    return 0, ""


def _innermost(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def reason_of(error: BaseException) -> str:
    """Return why something failed in the system's words, or else the error's first line."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return shown(cause.strerror, LONGEST)
        cause = cause.__cause__ or cause.__context__
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return shown(lines[0], LONGEST).removesuffix(".")


def _not_fetched(known: Published, why: str, *, refused: bool = False) -> ModelError:
    token = "Where it asks for an account, set HF_TOKEN, or renew it.\n" if refused else ""
    return ModelError(
        f"Could not fetch timm's weights of '{known.model}' from the hub: {why}.", hint=token + _otherwise(known)
    )


def _damaged(known: Published) -> ModelError:
    return _not_fetched(known, "what came is not what it told of (SHA-256), and was removed; try again")


def _otherwise(known: Published) -> str:
    """Return how else a model gets its weights."""
    folder, source = weights_folder(), known.hub or known.url
    where = f"the folder of ${VARIABLE}" if folder else f"a folder that ${VARIABLE} names"
    lost = f" (which is not there now: {shown(str(folder))})" if folder and not folder.is_dir() else ""
    fetch = f"Where there is a network, fetch it ({source}): cass weights fetch {known.model}\n" if source else ""
    return (
        f"{fetch}Put {known.file} into {where}{lost}; all that is needed: cass weights list.\n"
        "Or name a file with --weights cnn=PATH or vit=PATH, or start from --init random."
    )
