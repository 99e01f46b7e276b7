"""Other people's labels in the classes of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cass_cli.data.class_names import class_pairs, match_classes
from cass_cli.data.sample_table import SampleTable
from cass_cli.errors import ConfigError, DataError

OURS = ("basal cell", "melanoma", "nevus")


def table(classes: tuple[str, ...], labels: object) -> SampleTable:
    given = np.array(labels)
    return SampleTable(
        root=Path("there"),
        names=tuple(f"{i}.png" for i in range(len(given))),
        classes=classes,
        labels=given.astype(np.int8 if given.ndim == 2 else np.int64),
    )


def test_names_match_whatever_their_capitals_and_spaces() -> None:
    found = match_classes(table(("Melanoma", "BASAL_cell"), [0, 1, -1]), OURS, multilabel=False, given={})
    assert found.labels.tolist() == [1, 0, -1]
    assert found.pairs == (("Melanoma", "melanoma"), ("BASAL_cell", "basal cell"))
    assert found.only_ours == ("nevus",)
    assert found.only_theirs == ()
    assert any("do not name, and say nothing of: nevus" in note for note in found.notes)


def test_what_is_given_goes_before_and_several_may_be_one() -> None:
    theirs = table(("mole", "nevus", "melanoma"), [0, 1, 2])
    found = match_classes(theirs, OURS, multilabel=False, given={"mole": "nevus", "nevus": "melanoma"})
    assert found.labels.tolist() == [2, 1, 1]


def test_an_image_of_a_class_that_the_arms_have_not_learned_is_left_out_and_counted() -> None:
    found = match_classes(table(("melanoma", "wart"), [0, 1, 1]), OURS, multilabel=False, given={})
    assert found.labels.tolist() == [1, -1, -1]
    assert found.only_theirs == ("wart",)
    assert "Classes that the arms have not learned: wart; 2 images left out." in found.notes


def test_multi_label_columns_move_and_what_is_not_named_is_unknown() -> None:
    theirs = table(("nevus", "mole", "melanoma"), [[0, 1, 0], [-1, 0, 1], [0, 0, -1]])
    found = match_classes(theirs, OURS, multilabel=True, given={"mole": "nevus"})
    assert found.labels.tolist() == [[-1, 0, 1], [-1, 1, -1], [-1, -1, 0]]


def test_one_class_an_image_is_read_by_arms_that_know_several() -> None:
    found = match_classes(table(("melanoma", "nevus", "wart"), [0, 2, -1]), OURS, multilabel=True, given={})
    assert found.labels.tolist() == [[-1, 1, 0], [-1, 0, 0], [-1, -1, -1]]
    assert "Each image is taken to show its one class" in found.notes[0]


def test_several_classes_an_image_are_no_answer_to_one() -> None:
    found = match_classes(table(("melanoma", "nevus"), [[1, 0], [1, 1], [0, 0]]), OURS, multilabel=False, given={})
    assert found.labels.tolist() == [1, -1, -1]
    assert "2 images without exactly one class left out." in found.notes


def test_what_matches_nothing_is_told_with_both_lists() -> None:
    with pytest.raises(DataError, match=r"No class of there \(a, b\).*\(basal cell, melanoma, nevus\)") as error:
        match_classes(table(("a", "b"), [0, 1]), OURS, multilabel=False, given={})
    assert "--map-class THEIRS=OURS" in str(error.value.hint)
    with pytest.raises(DataError, match="no labels"):
        match_classes(SampleTable(Path("there"), ("0.png",)), OURS, multilabel=False, given={})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"nevis": "nevus"}, "'nevis' is no class that these images have. Did you mean 'nevus'"),
        ({"nevus": "melanom"}, "'melanom' is no class that the arms learned. Did you mean 'melanoma'"),
    ],
)
def test_a_class_that_is_not_there_is_told(given: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        match_classes(table(("nevus",), [0]), OURS, multilabel=False, given=given)


def test_pairs_are_read_from_the_command_line() -> None:
    assert class_pairs(["a=b", "x=y=z", "a=b"]) == {"a": "b", "x=y": "z"}
    for wrong in (["a"], ["=b"], ["a="], ["a=b", "a=c"]):
        with pytest.raises(ConfigError, match="--map-class"):
            class_pairs(wrong)
