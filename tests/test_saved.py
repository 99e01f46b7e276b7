"""What is wrong in a file is told in a few words, whatever is in it."""

from __future__ import annotations

from typing import Any

import pytest
from typing_extensions import TypedDict

from cass_cli.saved import NonNegativeInt, parse, short


class Record(TypedDict):
    """Two keys."""

    number: NonNegativeInt
    names: list[str]


@pytest.mark.parametrize("number", ["-1", str(10**16), "1" * 4000, "1" * 5000, "1.5", "true", '"1"'])
def test_a_number_is_one_that_people_count(number: str) -> None:
    with pytest.raises(ValueError, match=r"number|JSON") as raised:
        parse(f'{{"number": {number}, "names": []}}', Record)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    "text", ['{"number": 1, "names": [' + "1," * 50_000 + "1]}", '{"number": "' + "a" * 10**6 + '", "names": []}']
)
def test_a_message_stays_short(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse(text, Record)
    assert len(str(raised.value)) < 300


def test_many_faults_are_counted() -> None:
    with pytest.raises(ValueError, match=r"^5,001 of its values are not what they should be$"):
        parse('{"number": 1, "names": [' + "1," * 5000 + "1]}", Record)


@pytest.mark.parametrize("value", [1 << 10**5, "a" * 10**6, ["\x1b"] * 100], ids=["number", "text", "list"])
def test_a_wrong_value_fits_into_a_message(value: Any) -> None:
    assert len(short(value)) < 100
    assert short(value).isprintable()
