from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from sightline.drift.familiarity import UNLIKE, Familiarity, Reference
from sightline.task import Row


def rows(groups: int, frames: int = 2, *, seed: int = 0, embedded: bool = True) -> list[Row]:
    """Samples of flights: a level of about 0 +- 1, a gain that is always 1, an embedding of about 0 +- 1."""
    rng = np.random.default_rng(seed)
    found = []
    for group in range(groups):
        for frame in range(frames):
            figures = {"input_level": float(rng.normal()), "input_gain": 1.0, "input_palette": "iron"}
            embedding = tuple(rng.normal(size=8).tolist()) if embedded else ()
            found.append(Row(f"real/{group}-{frame}", f"sha {group} {frame}", f"g{group}", "a", {}, figures, embedding))
    return found


def ask(
    reference: Reference, *, level: float = 0.0, seen: float = 0.0, seed: int = 1, gain: float = 1.0
) -> Familiarity:
    embedding = np.random.default_rng(seed).normal(size=8) + seen
    return reference.familiarity({"input_level": level, "input_gain": gain}, embedding.astype(np.float32))


def test_an_input_like_the_samples_is_familiar() -> None:
    found = ask(Reference(rows(40)))
    assert (found.word, found.outside, found.groups) == ("familiar", {}, 40)
    assert found.quantile is not None
    assert 0 < found.quantile < 0.95


def test_most_inputs_like_the_samples_are_familiar_and_none_is_unlike_them() -> None:
    reference, data = Reference(rows(40)), np.random.default_rng(9)
    words = [ask(reference, level=float(data.normal()), seed=100 + n).word for n in range(200)]
    assert words.count("familiar") >= 170
    assert UNLIKE not in words


def test_what_the_network_has_never_seen_is_unlike_the_samples() -> None:
    found = ask(Reference(rows(40)), seen=20.0)
    assert (found.word, found.quantile) == (UNLIKE, 1.0)
    assert "its embedding lies farther" in found.reason


def test_a_figure_far_beyond_the_samples_is_named_with_their_range() -> None:
    found = ask(Reference(rows(40)), level=90.0)
    assert found.word == UNLIKE
    assert list(found.outside) == ["input_level"]
    assert "level is 90, the samples have -" in found.reason


def test_a_figure_a_little_beyond_is_unusual() -> None:
    known = rows(40)
    highest = max(float(row.row["input_level"]) for row in known)
    assert ask(Reference(known), level=highest + 1.0).word == "unusual"
    assert ask(Reference(known), level=highest + 0.01).word == "familiar"


def test_a_figure_that_never_varied_is_unusual_when_it_does_and_no_more() -> None:
    assert ask(Reference(rows(40)), gain=1.001).word == "unusual"
    assert ask(Reference(rows(40)), gain=50.0).word == "unusual"


@pytest.mark.parametrize("groups", [0, 1, 4])
def test_with_few_groups_it_is_not_known(groups: int) -> None:
    found = ask(Reference(rows(groups, frames=30)), level=90.0)
    assert (found.word, found.quantile, found.distance) == ("not known", None, None)
    assert found.reason


def test_frames_of_one_flight_do_not_make_each_other_usual() -> None:
    # Twins in each flight lie at 0.001 from each other: a stranger's distance is usual among flights all the same.
    twins = [
        replace(row, key=f"{row.key}{twin}", embedding=tuple(value + twin / 1e3 for value in row.embedding))
        for row in rows(40, frames=1)
        for twin in range(2)
    ]
    assert ask(Reference(twins)).word == "familiar"


def test_without_embeddings_the_figures_speak() -> None:
    reference = Reference(rows(40, embedded=False))
    assert ask(reference).word == "familiar"
    assert ask(reference).quantile is None
    assert ask(reference, level=90.0).word == UNLIKE


def test_an_answer_with_nothing_to_compare_is_not_known() -> None:
    assert Reference(rows(40)).familiarity({}, np.empty(0, dtype=np.float32)).word == "not known"


def test_values_that_are_no_numbers_do_no_harm() -> None:
    broken = np.full(8, np.nan, dtype=np.float32)
    found = Reference(rows(40)).familiarity({"input_level": float("nan"), "input_palette": "rainbow"}, broken)
    json.dumps(found.document(), allow_nan=False)
    assert found.quantile is None


def test_the_document_is_plain_json() -> None:
    document = ask(Reference(rows(40)), level=90.0, gain=3.0).document()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["outside"]["input_level"]["value"] == 90.0
