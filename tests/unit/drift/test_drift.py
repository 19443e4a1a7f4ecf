"""The verdict, with scipy in Evidently's place (tests/drift runs Evidently itself)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import ks_2samp

from sightline.drift.comparison import Comparison, Observation
from sightline.drift.report import compare
from sightline.drift.twosample import categories_p_value
from sightline.errors import BackendError, DataRejected
from sightline.params import WatchParams
from tests.parameters import changed, platform_params

if TYPE_CHECKING:
    import pandas as pd

PARAMS = platform_params().watch


def observations(
    tag: str,
    count: int,
    *,
    seed: int,
    level: float = 0.0,
    seen: float = 0.0,
    palette: str = "iron",
    frames: int = 1,
    between: float = 0.0,
) -> list[Observation]:
    """Inputs with a level, a sharpness and a palette; `frames` a flight, which share `between` of a common shift."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        if number % frames == 0:
            common = between * rng.normal()
        row = {
            "input_level": float(rng.normal() + level + common),
            "input_sharpness": float(rng.normal()),
            "input_palette": palette,
            "output_boxes": int(rng.poisson(4)),
            "note": tag,
        }
        embedding = rng.normal(size=8) + seen + common
        group = f"{tag}-flight{number // frames}"
        found.append(Observation(f"{tag}{number}.jpg", f"{tag}{seed}-{number}", group, row, embedding))
    return found


def column_tests(reference: pd.DataFrame, current: pd.DataFrame, threshold: float, folder: Path) -> dict[str, float]:
    (folder / "evidently.html").write_text("the report")
    rng = np.random.default_rng(0)
    return {
        name: categories_p_value(list(reference[name]), list(current[name]), 9999, rng)
        if reference[name].dtype == object
        else float(ks_2samp(reference[name].dropna(), current[name].dropna()).pvalue)
        for name in reference
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "report"


def evaluate(
    folder: Path, reference: list[Observation], current: list[Observation], params: WatchParams = PARAMS
) -> Comparison:
    return compare(reference, current, params, 1, folder, column_tests)


def moved(comparison: Comparison) -> set[str]:
    return {change.name for change in comparison.changes if change.moved}


REFERENCE = observations("ref", 120, seed=0)


def test_unshifted_traffic_is_no_drift(folder: Path) -> None:
    found = evaluate(folder, REFERENCE, observations("new", 40, seed=1))
    assert (found.state, found.drifted, moved(found)) == ("same", False, set())
    (reason,) = found.reasons
    assert reason.startswith("no drift: 40 different inputs look like the 120 of the reference; a shift of ")
    assert found.noticeable == 0.3


@pytest.mark.parametrize(
    ("shift", "column", "reason"),
    [
        ({"level": 3.0}, "input_level", "input_level went from"),
        (
            {"palette": "rainbow"},
            "input_palette",
            "from iron 100% to rainbow 100%; 100% of the predictions lie outside",
        ),
        ({"seen": 3.0}, "embedding", "embeddings differ"),
    ],
)
def test_a_shift_is_found_where_it_is_and_told_in_words(
    folder: Path, shift: dict[str, float], column: str, reason: str
) -> None:
    found = evaluate(folder, REFERENCE, observations("new", 40, seed=1, **shift))
    assert found.state == "drift"
    assert moved(found) == {column}
    assert reason in found.reasons[0]


def test_a_column_that_moved_says_from_what_to_what(folder: Path) -> None:
    found = evaluate(folder, REFERENCE, observations("new", 40, seed=1, level=10.0))
    assert found.changes[0].before == "-0.229 (-1.72 to 1.57)"  # median (5 to 95 %)
    assert found.changes[0].after == "10 (8.01 to 11.2)"


def test_traffic_of_one_known_kind_is_a_changed_mix_and_no_drift(folder: Path) -> None:
    both = [*REFERENCE, *observations("summer", 60, seed=2, level=6.0, seen=4.0)]
    found = evaluate(folder, both, observations("new", 40, seed=3, level=6.0, seen=4.0))
    assert found.state == "changed"
    assert not found.drifted
    assert found.reasons[0].startswith("the mix has changed, but stays within the range of the reference; a shift of ")
    assert len(found.reasons) == 3


def test_the_false_alarm_rate_stays_below_alpha(folder: Path) -> None:
    params = changed(PARAMS, alpha=0.1, outside_share=0.01)  # the first question alone must hold the level
    alarms = sum(
        evaluate(folder, observations("ref", 60, seed=100 + n), observations("new", 25, seed=900 + n), params).drifted
        for n in range(40)
    )
    assert alarms <= 11  # 4 expected at most; more happen once in 1,000 times


@pytest.mark.parametrize(
    ("count", "frames", "state"), [(19, 1, "too few"), (20, 1, "same"), (40, 20, "too few"), (40, 2, "same")]
)
def test_too_few_answers_or_flights_say_nothing(folder: Path, count: int, frames: int, state: str) -> None:
    found = evaluate(folder, REFERENCE, observations("new", count, seed=1, frames=frames))
    assert found.state == state
    assert not found.drifted
    assert (folder / "index.html").is_file()


def test_too_small_a_reference_says_nothing(folder: Path) -> None:
    found = evaluate(folder, REFERENCE[:2], observations("new", 40, seed=1, level=9.0))
    assert (found.state, found.is_known, found.drifted) == ("cannot tell", False, False)
    assert "against 2 in 2 of the reference" in found.reasons[0]
    assert found.reasons[0].endswith("would be noticed (wanted: 50%)")
    assert evaluate(folder, REFERENCE[:4], observations("new", 40, seed=1, level=9.0)).drifted


def test_no_answers_are_too_few_and_not_no_drift(folder: Path) -> None:
    found = evaluate(folder, REFERENCE, [])
    assert (found.state, found.is_known, found.rows) == ("too few", False, 0)
    assert evaluate(folder, [], observations("new", 40, seed=1)).state == "cannot tell"
    assert evaluate(folder, [], []).state == "too few"


HALF_STRANGE = [*observations("new", 60, seed=1), *observations("odd", 60, seed=2, level=9.0, seen=9.0)]


@pytest.mark.parametrize(("groups", "state"), [(3, "cannot tell"), (8, "cannot tell"), (20, "drift"), (120, "drift")])
def test_half_of_the_current_inputs_of_another_kind_is_never_no_drift(folder: Path, groups: int, state: str) -> None:
    reference = observations("ref", groups * 4, seed=0, frames=4)
    found = evaluate(folder, reference, HALF_STRANGE)
    assert found.state == state
    if state == "cannot tell":
        assert "it cannot be determined whether there is drift" in found.reasons[0]
        assert "Cannot tell" in (folder / "index.html").read_text()


def test_unshifted_traffic_beside_a_small_reference_cannot_be_told_either(folder: Path) -> None:
    found = evaluate(folder, observations("ref", 12, seed=0, frames=4), observations("new", 120, seed=1))
    assert found.state == "cannot tell"


def test_what_lies_where_no_sample_lies_is_drift_though_each_figure_is_usual(folder: Path) -> None:
    # Samples lie on one diagonal, current answers on the other: no figure of the embedding leaves its range.
    def on_a_diagonal(tag: str, count: int, sign: float) -> list[Observation]:
        rng = np.random.default_rng(count)
        at = rng.normal(size=count)
        points = np.stack([at, sign * at], axis=1) + 0.1 * rng.normal(size=(count, 2))
        return [Observation(f"{tag}{n}", f"{tag}{n}", f"{tag}{n}", {}, point) for n, point in enumerate(points)]

    found = evaluate(folder, on_a_diagonal("ref", 60, 1.0), on_a_diagonal("new", 80, -1.0))
    assert found.state == "drift"
    assert found.changes[0].outside > 0.5


def test_inputs_are_compared_with_what_was_trained_on_and_answers_with_what_was_evaluated(folder: Path) -> None:
    labelled = [
        Observation(o.name, o.sha256, o.group, {k: v for k, v in o.row.items() if k.startswith("input_")}, o.embedding)
        for o in REFERENCE
    ]
    evaluated = observations("evaluated", 30, seed=7)
    same = observations("new", 40, seed=1)
    found = compare(labelled, same, PARAMS, 1, folder, column_tests, evaluated)
    assert found.state == "same"
    assert {change.name for change in found.changes} >= {"input_level", "output_boxes", "embedding"}
    more = [Observation(o.name, o.sha256, o.group, {**o.row, "output_boxes": 90}, o.embedding) for o in same]
    found = compare(labelled, more, PARAMS, 1, folder, column_tests, evaluated)
    assert moved(found) == {"output_boxes"}


def test_the_same_input_asked_again_and_again_counts_once(folder: Path) -> None:
    odd = observations("odd", 1, seed=1, level=9.0, seen=9.0)
    found = evaluate(folder, REFERENCE, [*observations("new", 30, seed=2), *odd * 500])
    assert found.rows == 31
    assert not found.drifted
    assert found.most_drifted[0].name == "odd0.jpg"


def alone(side: list[Observation]) -> list[Observation]:
    """Each input as a flight of its own."""
    return [Observation(o.name, o.sha256, o.sha256, o.row, o.embedding) for o in side]


def test_frames_of_a_flight_are_not_independent_evidence(folder: Path) -> None:
    # Flights differ from each other, frames of one hardly do: taken frame by frame, many a period would alarm.
    params = changed(PARAMS, alpha=0.1, outside_share=0.01)
    alarms, naive = 0, 0
    for n in range(20):
        reference = observations("ref", 200, seed=n, frames=10, between=3.0)
        current = observations("new", 60, seed=500 + n, frames=10, between=3.0)
        alarms += evaluate(folder, reference, current, params).drifted
        naive += evaluate(folder, alone(reference), alone(current), params).drifted
    assert alarms <= 6  # 2 expected at most
    assert naive >= 10


def test_the_furthest_inputs_are_listed_for_labelling_each_once(folder: Path) -> None:
    current = [*observations("new", 30, seed=2), *observations("odd", 3, seed=3, level=8.0, seen=8.0)]
    found = evaluate(folder, REFERENCE, current)
    assert {item.name for item in found.most_drifted[:3]} == {"odd0.jpg", "odd1.jpg", "odd2.jpg"}
    assert len(found.most_drifted) == 20
    distances = [item.distance for item in found.most_drifted]
    assert distances == sorted(distances, reverse=True)


def test_the_order_in_which_answers_came_does_not_matter(folder: Path) -> None:
    current = observations("new", 40, seed=1, level=1.0)
    assert evaluate(folder, REFERENCE, current) == evaluate(folder, REFERENCE[::-1], current[::-1])


def test_values_that_are_no_numbers_are_left_out(folder: Path) -> None:
    current = observations("new", 40, seed=1, level=5.0)
    broken = [
        Observation(o.name, o.sha256, o.group, {**o.row, "input_sharpness": float("nan"), "extra": 1}, o.embedding)
        for o in current
    ]
    found = evaluate(folder, REFERENCE, broken)
    assert {change.name for change in found.changes} == {"input_level", "input_palette", "output_boxes", "embedding"}
    assert moved(found) == {"input_level"}
    json.loads((folder / "drift.json").read_text())


def test_constant_columns_do_no_harm_and_are_seen_when_they_change(folder: Path) -> None:
    def constant(side: list[Observation], value: float) -> list[Observation]:
        return [Observation(o.name, o.sha256, o.group, {"input_gain": value}, ()) for o in side]

    current = observations("new", 40, seed=1)
    assert evaluate(folder, constant(REFERENCE, 1.0), constant(current, 1.0)).state == "same"
    assert moved(evaluate(folder, constant(REFERENCE, 1.0), constant(current, 2.0))) == {"input_gain"}


def test_without_embeddings_the_columns_are_compared(folder: Path) -> None:
    bare = [Observation(o.name, o.sha256, o.group, o.row, ()) for o in REFERENCE]
    found = evaluate(folder, bare, observations("new", 40, seed=1, level=5.0))
    assert moved(found) == {"input_level"}


def test_nothing_in_common_is_refused(folder: Path) -> None:
    bare = [Observation(o.name, o.sha256, o.group, {}, ()) for o in REFERENCE]
    with pytest.raises(DataRejected, match="no statistic in common"):
        evaluate(folder, bare, observations("new", 40, seed=1))


def test_the_report_is_written_whole_and_replaces_the_last(folder: Path) -> None:
    evaluate(folder, REFERENCE, observations("new", 40, seed=1, level=5.0))
    assert (folder / "evidently.html").is_file()
    evaluate(folder, REFERENCE, observations("new", 5, seed=1))
    assert sorted(path.name for path in folder.iterdir()) == ["drift.json", "index.html"]
    assert json.loads((folder / "drift.json").read_text())["state"] == "too few"
    assert [path.name for path in folder.parent.iterdir()] == ["report"]


def test_a_file_name_is_no_html(folder: Path) -> None:
    current = observations("<script>alert(1)</script>", 40, seed=1, level=9.0)
    evaluate(folder, REFERENCE, current)
    assert "<script>" not in (folder / "index.html").read_text()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match="drift report"):
        evaluate(tmp_path / "file" / "report", REFERENCE, observations("new", 40, seed=1))
