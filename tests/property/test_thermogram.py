"""Properties of the thermogram's formats: round trips, and bytes that anybody may have touched."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from sightline.errors import DataRejected
from sightline.limits import Limits
from sightline.radiometry import Planck, embed_radiometry
from sightline.tasks.pv_hotspots.palette import colourise, invert_palette
from sightline.tasks.pv_hotspots.thermogram import read_thermogram, write_thermogram

LIMITS = Limits(pixels=2**20)
SHAPES = st.tuples(st.integers(16, 90), st.integers(16, 90))
COUNTS = SHAPES.flatmap(lambda shape: arrays.arrays(np.uint16, shape))
PLANCK = st.builds(
    Planck,
    r1=st.floats(1e3, 1e5),
    b=st.floats(1000, 2000),
    f=st.floats(0.5, 2),
    o=st.integers(-8000, 0).map(float),
    r2=st.floats(0.005, 0.5),
)


@settings(max_examples=60, deadline=None)
@given(counts=COUNTS, planck=PLANCK, quality=st.integers(30, 95))
def test_counts_survive_bit_for_bit(counts: np.ndarray[Any, Any], planck: Planck, quality: int) -> None:
    picture = np.repeat((counts >> 8).astype(np.uint8)[..., None], 3, axis=2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jpg"
        write_thermogram(path, counts, planck, picture, quality=quality)
        thermogram = read_thermogram(path, LIMITS)
    assert thermogram.radiometric
    assert np.array_equal(thermogram.level, counts.astype(np.float32))


@settings(max_examples=60, deadline=None)
@given(planck=PLANCK, celsius=st.floats(-20, 120), step=st.floats(1, 50))
def test_plancks_law_is_inverted_and_rises(planck: Planck, celsius: float, step: float) -> None:
    counts = planck.counts(np.array([[celsius, celsius + step]]))
    assert counts[0, 1] >= counts[0, 0]
    if 0 < counts[0, 0] < counts[0, 1] < 65535:
        back = planck.celsius(counts)
        assert back is not None
        assert np.abs(planck.counts(back).astype(int) - counts.astype(int)).max() <= 1
        if counts[0, 0] > 100:  # with fewer, a count is worth whole degrees, and not the same number of them
            per_count = step / (int(counts[0, 1]) - int(counts[0, 0]))
            assert abs(float(back[0, 0]) - celsius) <= 2 * per_count + 0.01


@settings(max_examples=40, deadline=None)
@given(levels=arrays.arrays(np.uint8, SHAPES), palette=st.sampled_from(["iron", "rainbow", "grey"]))
def test_palette_is_inverted(levels: np.ndarray[Any, Any], palette: str) -> None:
    # Neighbouring levels may share a colour after rounding: one level off at most.
    assert np.abs(invert_palette(colourise(levels, palette), palette) - levels).max() <= 1


def _files() -> list[bytes]:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    jpeg, png, tiff = io.BytesIO(), io.BytesIO(), io.BytesIO()
    Image.fromarray(picture).save(jpeg, "JPEG")
    Image.fromarray(picture).save(png, "PNG")
    tifffile.imwrite(tiff, picture, compression="zlib")
    counts = rng.integers(8000, 8100, (24, 24), dtype=np.uint16)
    return [embed_radiometry(jpeg.getvalue(), counts, Planck()), png.getvalue(), tiff.getvalue()]


FILES = _files()


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_touched_bytes_are_read_or_refused(data: st.DataObject) -> None:
    """Nothing but DataRejected ever comes out of bytes that were changed, cut or doubled."""
    content = bytearray(data.draw(st.sampled_from(FILES)))
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    try:
        thermogram = read_thermogram(bytes(content[:end]), LIMITS)
    except DataRejected:
        return
    assert thermogram.picture.shape == (*thermogram.level.shape, 3)
    assert np.isfinite(thermogram.level).all()
    assert all(np.isfinite(value) for value in thermogram.statistics.values())
