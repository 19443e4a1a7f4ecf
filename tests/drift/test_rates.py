"""How often drift is raised on thermograms that have shifted, and on such that have not.

120 frames of 60 flights are written once by the sample generator, and once more in another palette, blurred, and of a
hotter scene. Each repetition draws which 30 flights are the reference and which 30 are current.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest, ks_2samp

from sightline.drift.comparison import Observation
from sightline.drift.report import compare
from sightline.limits import Limits
from sightline.radiometry import embed_radiometry, read_radiometry
from sightline.tasks.pv_hotspots.palette import colourise
from sightline.tasks.pv_hotspots.params import Params
from sightline.tasks.pv_hotspots.synthetic.sample import write_sample
from sightline.tasks.pv_hotspots.thermogram import Thermogram, read_thermogram
from tests.parameters import changed, params_of, platform_params
from tests.toy import Silent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FLIGHTS, FRAMES, REPETITIONS = 60, 2, 40
PARAMS = platform_params().watch
SMALL = changed(
    params_of("pv_hotspots", Params).sample,
    defect_boost=1.0,
    seed=7,
    flights=FLIGHTS,
    frames_per_flight=FRAMES,
    site={"tables_across": 2, "tables_along": 3},
    camera={"width_px": 320, "height_px": 256, "focal_px": 264.5, "supersampling": 1},
)

Counts = NDArray[np.uint16]
Flights = list[list[Observation]]


def photograph(counts: Counts, jpeg: bytes, palette: str = "iron") -> bytes:
    """A radiometric JPEG of these counts, as the camera that wrote `jpeg` would show them."""
    found = read_radiometry(jpeg, counts.size)
    assert found is not None
    assert found.planck is not None
    low, high = int(counts.min()), int(counts.max())
    picture = colourise((counts.astype(np.float64) - low) * (255 / max(high - low, 1)), palette)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=90)
    return embed_radiometry(buffer.getvalue(), counts, found.planck)


def counts_of(jpeg: bytes) -> Counts:
    found = read_radiometry(jpeg, 2**22)
    assert found is not None
    return found.counts


def another_palette(jpeg: bytes) -> bytes:
    return photograph(counts_of(jpeg), jpeg, "rainbow")


def blurred(jpeg: bytes) -> bytes:
    """Out of focus: a Gaussian of 2 pixels."""
    soft = gaussian_filter(counts_of(jpeg).astype(np.float64), 2.0)
    return photograph(np.rint(soft).astype(np.uint16), jpeg)


def hotter(jpeg: bytes) -> bytes:
    """Air 15 K warmer: the heat balance is linear in it, so all temperatures rise by as much."""
    found = read_radiometry(jpeg, 2**22)
    assert found is not None
    assert found.planck is not None
    celsius = found.planck.celsius(found.counts)
    assert celsius is not None
    return photograph(found.planck.counts(celsius + 15.0), jpeg)


def unshifted(jpeg: bytes) -> bytes:
    return jpeg


KINDS: dict[str, Callable[[bytes], bytes]] = {
    "unshifted": unshifted,
    "another palette": another_palette,
    "blur": blurred,
    "hotter scene": hotter,
}


def observe(thermogram: Thermogram, name: str, flight: int) -> Observation:
    """An answer's input statistics; the level in 8 x 8 cells, robustly scaled, stands for the embedding."""
    low, high = np.percentile(thermogram.level, (1, 99))
    cells = thermogram.level.reshape(8, 32, 8, 40).mean(axis=(1, 3))
    row = {f"input_{key}": value for key, value in thermogram.statistics.items()}
    return Observation(name, thermogram.sha256, f"flight {flight}", row, ((cells - low) / (high - low)).ravel())


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Flights]:
    """Kind -> its flights."""
    root = tmp_path_factory.mktemp("frames")
    write_sample(root, SMALL, Silent())
    files = sorted((root / "dataset_1" / "images").glob("*.jpg"))
    assert len(files) == FLIGHTS * FRAMES
    found: dict[str, Flights] = {}
    for kind, change in KINDS.items():
        found[kind] = [[] for _ in range(FLIGHTS)]
        for number, file in enumerate(files):
            thermogram = read_thermogram(change(file.read_bytes()), Limits())
            flight = number // FRAMES
            found[kind][flight].append(observe(thermogram, f"{kind} {file.name}", flight))
    return found


def column_tests(reference, current, threshold, folder):
    """What Evidently computes (test_report.py compares them), without its pictures."""
    return {name: float(ks_2samp(reference[name], current[name]).pvalue) for name in reference}


def rate(traffic: dict[str, Flights], kind: str, folder: Path) -> tuple[int, str]:
    """How many of the repetitions raise drift, and the rate with its 95 % interval in words."""
    raised = 0
    for repetition in range(REPETITIONS):
        order = np.random.default_rng(repetition).permutation(FLIGHTS)
        reference = [frame for flight in order[:30] for frame in traffic["unshifted"][flight]]
        current = [frame for flight in order[30:] for frame in traffic[kind][flight]]
        raised += compare(reference, current, PARAMS, repetition, folder, column_tests).drifted
    bounds = binomtest(raised, REPETITIONS).proportion_ci()
    return raised, f"{kind}: drift in {raised} of {REPETITIONS}, 95 % interval {bounds.low:.3f} to {bounds.high:.3f}"


def test_unshifted_thermograms_raise_no_drift(traffic, tmp_path, record_testsuite_property) -> None:
    raised, words = rate(traffic, "unshifted", tmp_path / "report")
    record_testsuite_property("rate unshifted", words)
    # at alpha = 0.01 more than 2 false alarms in 40 happen once in 130 times
    assert raised <= 2, words


@pytest.mark.parametrize("kind", ["another palette", "blur", "hotter scene"])
def test_shifted_thermograms_raise_drift(traffic, tmp_path, record_testsuite_property, kind: str) -> None:
    raised, words = rate(traffic, kind, tmp_path / "report")
    record_testsuite_property(f"rate {kind}", words)
    assert raised == REPETITIONS, words


@pytest.mark.parametrize(
    ("kind", "column"),
    [("another palette", "input_chroma_a"), ("blur", "input_sharpness"), ("hotter scene", "input_level_median")],
)
def test_the_reasons_name_what_was_shifted(traffic, tmp_path, kind: str, column: str) -> None:
    reference = [frame for flight in traffic["unshifted"][:30] for frame in flight]
    current = [frame for flight in traffic[kind][30:] for frame in flight]
    found = compare(reference, current, PARAMS, 1, tmp_path / "report", column_tests)
    assert any(reason.startswith(f"{column} went from") for reason in found.reasons), found.reasons


def test_a_window_in_which_two_thirds_are_blurred_is_found_and_those_are_listed(traffic, tmp_path) -> None:
    reference = [frame for flight in traffic["unshifted"][:30] for frame in flight]
    current = [frame for flight in range(30, 60) for frame in traffic["blur" if flight % 3 else "unshifted"][flight]]
    found = compare(reference, current, PARAMS, 1, tmp_path / "report", column_tests)
    assert found.drifted
    named = [item.name.split()[0] for item in found.most_drifted]
    assert named == ["blur"] * 20


def half_blurred(traffic: dict[str, Flights], flights: range) -> list[Observation]:
    return [frame for flight in flights for frame in traffic["blur" if flight % 2 else "unshifted"][flight]]


def test_three_flights_cannot_tell_whether_half_of_the_window_is_blurred_but_thirty_can(traffic, tmp_path) -> None:
    flights = traffic["unshifted"]
    few = [frame for flight in flights[:3] for frame in flight]
    found = compare(few, half_blurred(traffic, range(3, 60)), PARAMS, 1, tmp_path / "report", column_tests)
    assert (found.state, found.is_known) == ("cannot tell", False)
    many = [frame for flight in flights[:30] for frame in flight]
    assert compare(many, half_blurred(traffic, range(30, 60)), PARAMS, 1, tmp_path / "report", column_tests).drifted
