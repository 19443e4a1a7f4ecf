"""Whole scenes: any window at bounded memory, the same values as a tile's, and the same checks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from sightline.errors import DataMissing, DataRejected
from sightline.limits import Limits
from sightline.tasks.land_cover import raster
from sightline.tasks.land_cover.raster import open_scene
from sightline.tasks.land_cover.tile import read_tile
from tests.unit.tasks.land_cover.test_tile import LAYOUTS, broken
from tests.unit.tasks.land_cover.tiles import HEIGHT, WIDTH, counts, declared, write, write_pages

BY_WINDOW = [layout for layout in LAYOUTS if layout != "a stack, bands last"]


@pytest.mark.parametrize("layout", BY_WINDOW)
def test_windows_are_parts_of_the_tile(layout: str, tmp_path: Path) -> None:
    LAYOUTS[layout](tmp_path / "a.tif", counts())
    tile = read_tile(tmp_path / "a.tif", Limits())
    with open_scene(tmp_path / "a.tif") as scene:
        assert (scene.size, scene.scale) == ((HEIGHT, WIDTH), "counts")
        assert scene.statistics == pytest.approx(tile.statistics)
        for top, left, height, width in ((0, 0, HEIGHT, WIDTH), (3, 5, 7, 11), (HEIGHT - 1, WIDTH - 2, 1, 2)):
            window = scene.read(top, left, height, width)
            assert window.dtype == np.float32
            assert np.array_equal(window, tile.bands[:, top : top + height, left : left + width])


@pytest.mark.parametrize("kind", ["float16", "float32"])
def test_the_scale_is_that_of_the_whole_scene(kind: str, tmp_path: Path) -> None:
    """The rest is dark: a window there must not be stretched."""
    values = np.full((8, 600, 40), 0.01, dtype=kind)
    values[:, 590:, :3] = 1
    with open_scene(write_pages(tmp_path / "a.tif", values)) as scene:
        assert scene.scale == "unit"
        assert scene.read(0, 0, 100, 40) == pytest.approx(0.01, abs=1e-4)


def test_declared_no_data_becomes_0(tmp_path: Path) -> None:
    values = counts().clip(1)
    values[2, :4, :5] = 65535
    with open_scene(write(tmp_path / "a.tif", values, **declared("65535"))) as scene:
        assert not scene.read(0, 0, 4, 5).any()
        assert scene.statistics["no_data"] == pytest.approx(20 / (HEIGHT * WIDTH))


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (counts()[:3], "3 bands, not 8"),
        (counts()[:, :8], "too few"),
        ((counts() % 256).astype(np.uint8), "8 bits"),
        (counts() + 40, "beyond the 11 bits"),
        (np.full((8, 20, 20), 7, np.uint16), "every value is 7"),
        (broken(value=float("nan")), "NaN or infinite; the first is in band green"),
        (broken(value=-3.0), "negative"),
        (counts().astype(np.uint32), "uint32"),
    ],
)
def test_what_is_no_scene_is_refused_before_the_first_window(values: Any, match: str, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "bad.tif", values, photometric="minisblack", metadata=None)
    with pytest.raises(DataRejected, match=match) as caught, open_scene(tmp_path / "bad.tif"):
        pass
    assert "bad.tif" in caught.value.where


def test_files_that_are_no_scenes(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="no such file"), open_scene(tmp_path / "absent.tif"):
        pass
    (tmp_path / "text.tif").write_text("no image")
    cut = write(tmp_path / "cut.tif", counts(), compression="deflate")
    cut.write_bytes(cut.read_bytes()[:-900])
    damaged = write(tmp_path / "damaged.tif", counts(), compression="deflate")
    damaged.write_bytes(damaged.read_bytes()[:4000] + bytes(300) + damaged.read_bytes()[4300:])
    for name in ("text.tif", "cut.tif", "damaged.tif"):
        with pytest.raises(DataRejected, match=name), open_scene(tmp_path / name):
            pass


def test_a_file_in_one_huge_piece_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raster, "MAX_PIECE_BYTES", 1000)
    with (
        pytest.raises(DataRejected, match=r"in pieces of .* TILED=YES"),
        open_scene(write(tmp_path / "a.tif", counts(), compression="deflate")),
    ):
        pass


def test_a_window_outside_is_the_callers_mistake(tmp_path: Path) -> None:
    with open_scene(write(tmp_path / "a.tif", counts())) as scene:
        for window in ((0, 0, HEIGHT + 1, 4), (-1, 0, 4, 4), (0, 0, 0, 4)):
            with pytest.raises(ValueError, match="not within"):
                scene.read(*window)


_PEAK = """
import resource, sys
from pathlib import Path
from sightline.tasks.land_cover.raster import open_scene
with open_scene(Path(sys.argv[1])) as scene:
    before = scene.read(0, 0, 16, 16)
    height, width = scene.size
    for top in range(0, height - 160, 160):
        for left in range(0, width - 160, 640):
            scene.read(top, left, 160, 160)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("pages", [False, True])
def test_memory_does_not_grow_with_the_scene(pages: bool, tmp_path: Path) -> None:
    """3,400 x 3,400 x 8 values are 185 MB as counts and 370 MB as floats."""
    peaks = []
    for side in (512, 3400):
        values = np.tile(counts(height=64, width=64), (1, side // 64 + 1, side // 64 + 1))[:, :side, :side]
        path = tmp_path / f"{side}.tif"
        if pages:
            write_pages(path, values, tile=(256, 256), compression="deflate")
        else:
            write(path, values, tile=(256, 256), compression="deflate")
        done = subprocess.run([sys.executable, "-c", _PEAK, str(path)], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] - peaks[0] < 450, f"{peaks} MiB"


def test_the_real_tile(real_data: Path) -> None:
    path = real_data / "land_cover" / "ds4a_sample" / "vlj_img_1029.tiff"
    tile = read_tile(path, Limits())
    with open_scene(path) as scene:
        assert (scene.size, scene.scale) == ((160, 160), "unit")
        assert np.array_equal(scene.read(40, 30, 64, 80), tile.bands[:, 40:104, 30:110])


def scaled_tags(scale: float, offset: float) -> dict[str, Any]:
    items = "".join(
        f'<Item name="SCALE" sample="{band}" role="scale">{scale!r}</Item>'
        f'<Item name="OFFSET" sample="{band}" role="offset">{offset!r}</Item>'
        for band in range(8)
    )
    return {"extratags": [(42112, "s", 0, f"<GDALMetadata>{items}</GDALMetadata>", True)]}


def test_scale_and_offset_are_applied_at_any_size(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", counts() + 100, **scaled_tags(1 / 2047, -100 / 2047))
    tile = read_tile(path, Limits())
    assert tile.scale == "unit"
    assert tile.bands == pytest.approx(counts() / 2047, abs=1e-6)
    with open_scene(path) as scene:
        assert scene.scale == "unit"
        assert np.array_equal(scene.read(0, 0, HEIGHT, WIDTH), tile.bands)


@pytest.mark.parametrize("hides", ["a mask within the file", "a band of opacity"])
def test_what_is_hidden_is_without_data_at_any_size(hides: str, tmp_path: Path) -> None:
    import rasterio
    from rasterio.enums import ColorInterp

    path = tmp_path / "a.tif"
    hidden = np.zeros((HEIGHT, WIDTH), dtype=bool)
    hidden[:, :9] = True
    values = counts().clip(1)
    opacity = np.where(hidden, 0, 2047).astype(values.dtype)[None]
    bands = values if hides == "a mask within the file" else np.concatenate([values, opacity])
    kind: dict[str, Any] = {"height": HEIGHT, "width": WIDTH, "count": len(bands), "dtype": values.dtype.name}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", driver="GTiff", transform=rasterio.Affine.scale(2), **kind) as file,
    ):
        if len(bands) == 9:
            file.colorinterp = [ColorInterp.gray] + [ColorInterp.undefined] * 7 + [ColorInterp.alpha]
        file.write(bands)
        if len(bands) == 8:
            file.write_mask(~hidden)
    tile = read_tile(path, Limits())
    assert np.array_equal(~tile.bands.any(axis=0), hidden)
    with open_scene(path) as scene:
        assert np.array_equal(scene.read(0, 0, HEIGHT, WIDTH), tile.bands)
        assert scene.no_data_share == pytest.approx(9 / WIDTH)


def test_a_turned_scene_is_refused_where_it_cannot_be_turned(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", counts(), extratags=[(274, "H", 1, 6, True)])
    assert read_tile(path, Limits()).bands.shape == (8, WIDTH, HEIGHT)
    with pytest.raises(DataRejected, match="rotated or mirrored"), open_scene(path):
        pass


def test_a_file_without_a_tag_compression_is_read_at_any_size(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", counts())
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        at = file.pages[0].tags[259].offset  # type: ignore[union-attr]
    data[at : at + 2] = (65000).to_bytes(2, "little")  # a private tag takes its place
    path.write_bytes(bytes(data))
    tile = read_tile(path, Limits())
    with open_scene(path) as scene:
        assert np.array_equal(scene.read(0, 0, HEIGHT, WIDTH), tile.bands)
