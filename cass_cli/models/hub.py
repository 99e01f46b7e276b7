"""Fetching timm's weights, from the hub above all; a missing network is found in seconds.

Where there is none, the hub's client asks six times, waiting longer each time, for each of the two files that timm asks
for: a minute or more. So the hub is first asked whether it answers at all, with the client's own settings: its endpoint
(`HF_ENDPOINT`), its proxies and its patience (`HF_HUB_ETAG_TIMEOUT`). Whatever it answers, it is there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from threading import Thread
from typing import Any

import timm
from torch import nn

from cass_cli.errors import ModelError
from cass_cli.models.published import VARIABLE, Published, file_in_cache, published, weights_folder
from cass_cli.words import shown

TRIES, PAUSE = 3, 1.0  # a name that is not resolved at once may be a moment later; seconds between two
LONGEST = 200  # characters of a reason


def fetch_pretrained(name: str, options: Mapping[str, Any]) -> nn.Module:
    """Return the timm model `name` with its published weights, from the hub's cache or fetched.

    Raises `ModelError` where there are none, or where they cannot be had: that names the file and how to get it.
    """
    known = published(name)
    if not known.hub and not known.url:
        raise ModelError(f"timm has no ImageNet weights for '{name}'.", hint=_otherwise(known))
    if known.hub and file_in_cache(known) is None and (why := why_unreachable()):
        raise _not_fetched(known, why)
    try:
        model: nn.Module = timm.create_model(name, pretrained=True, **options)
    except Exception as error:
        raise _not_fetched(known, reason_of(error)) from error
    return model


def why_unreachable(*, seconds: float = 0, tries: int = TRIES) -> str:
    """Return why the hub does not answer, or "" where it does; within `seconds`, by default half as many again as its
    client waits for an answer. Resolving a name knows no limit of its own, so a thread asks, and is left behind.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE forbids it"
    patience = seconds or 1.5 * float(constants.HF_HUB_ETAG_TIMEOUT)
    answers: list[str] = []
    asking = Thread(target=_ask, args=(answers, constants.ENDPOINT, patience, tries), daemon=True)
    asking.start()
    asking.join(patience)
    return answers[0] if answers else f"no answer within {patience:g} s"


def _ask(answers: list[str], endpoint: str, seconds: float, tries: int) -> None:
    from huggingface_hub import get_session

    why = ""
    for attempt in range(tries):
        if attempt:
            time.sleep(PAUSE)
        try:
            get_session().head(endpoint, timeout=seconds)
        except Exception as error:
            why = reason_of(_innermost(error))  # what lies around it may name addresses
        else:
            why = ""
            break
    answers.append(why)


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


def _not_fetched(known: Published, why: str) -> ModelError:
    return ModelError(f"Could not fetch timm's weights of '{known.model}' from the hub: {why}.", hint=_otherwise(known))


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
