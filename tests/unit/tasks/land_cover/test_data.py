"""The upstream layout: what makes a sample, how labels belong to it, and what is said of bad files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from sightline.errors import DataMissing, DataRejected
from sightline.tasks.land_cover.data import (
    SAME_PLACE,
    excerpt,
    load_manifest,
    read_label_table,
    read_labels,
    read_mask,
    region_of,
)
from sightline.tasks.land_cover.grid import Grid
from sightline.tasks.land_cover.shapes import CLASSES, EMPTY
from tests.unit.tasks.land_cover.tiles import HEIGHT, WIDTH, counts, write

GRID = Grid(0.0091, -0.009)
HEADER = "ImageId,ClassType,MultipolygonWKT\n"


def rows(name: str, **wkt: str) -> str:
    return "".join(f'{name},{kind},"{wkt.get(label, EMPTY)}"\n' for kind, label in enumerate(CLASSES, start=1))


def box(x0: float, y0: float, x1: float, y1: float) -> str:
    return str(GRID.from_pixels(shapely.box(x0, y0, x1, y1), (HEIGHT, WIDTH)).wkt)


def dataset(root: Path, *names: str, text: str = "", grids: tuple[str, ...] | None = None) -> Path:
    """Tiles with the same labels each: crops on the left half, a tree in them."""
    for seed, name in enumerate(names):
        write(root / "sixteen_band" / f"{name}_M.tif", counts(seed))
    lines = text or "".join(rows(name, crops=box(0, 0, 15, HEIGHT), trees=box(2, 2, 6, 6)) for name in names)
    (root / "train_wkt_v4.csv").write_text(HEADER + lines)
    sizes = "".join(f"{name},{GRID.x_max},{GRID.y_min}\n" for name in (names if grids is None else grids))
    (root / "grid_sizes.csv").write_text(f",Xmax,Ymin\n{sizes}")
    return root


def test_an_image_with_labels_is_a_sample(tmp_path: Path) -> None:
    manifest = load_manifest(dataset(tmp_path / "real", "6010_1_2", "6040_0_0"))
    assert manifest.root == tmp_path
    first, second = manifest.samples
    assert (first.id, first.set, first.group, first.stratum, first.problem) == ("6010_1_2", "real", "6010", "open", "")
    assert first.files == {
        "image": "sixteen_band/6010_1_2_M.tif",
        "labels": "train_wkt_v4.csv",
        "grid": "grid_sizes.csv",
    }
    assert first.sha256 != second.sha256
    assert first.labels_sha256 == second.labels_sha256, "the same rows"
    assert first.figures["share_crops"] == pytest.approx(15 / WIDTH)
    assert (first.figures["bands"], first.figures["width"], first.figures["height"]) == (8, WIDTH, HEIGHT)
    assert 0 <= first.figures["lowest"] < 0.05
    assert 0.95 < first.figures["highest"] <= 1
    assert (first.figures["polygons"], first.figures["repaired"]) == (2, 0)


def test_labels_are_read_by_sample(tmp_path: Path) -> None:
    manifest = load_manifest(dataset(tmp_path / "real", "6010_1_2"))
    found, grid = read_labels(manifest, manifest.samples[0])
    assert grid == GRID
    assert found[1] == EMPTY
    mask = read_mask(manifest, manifest.samples[0], (HEIGHT, WIDTH))
    assert mask.shape == (10, HEIGHT, WIDTH)
    assert mask.sum(axis=(1, 2)).tolist() == [0, 0, 0, 0, 16, 15 * HEIGHT, 0, 0, 0, 0]


def test_changed_labels_are_read_anew_and_have_another_digest(tmp_path: Path) -> None:
    root = dataset(tmp_path / "real", "6010_1_2", "6040_0_0")
    before = load_manifest(root)
    assert read_mask(before, before.samples[0], (HEIGHT, WIDTH))[4].any()
    dataset(root, "6010_1_2", "6040_0_0", text=rows("6010_1_2") + rows("6040_0_0", trees=box(2, 2, 6, 6)))
    after = load_manifest(root)
    assert not read_mask(after, after.samples[0], (HEIGHT, WIDTH)).any()
    assert after.samples[0].sha256 == before.samples[0].sha256
    assert after.samples[0].labels_sha256 != before.samples[0].labels_sha256


def test_the_digest_is_of_this_images_rows_alone(tmp_path: Path) -> None:
    both = load_manifest(dataset(tmp_path / "both", "6010_1_2", "6040_0_0"))
    alone = load_manifest(dataset(tmp_path / "alone", "6010_1_2"))
    assert both.samples[0].labels_sha256 == alone.samples[0].labels_sha256


def test_images_of_the_test_set_are_no_samples(tmp_path: Path) -> None:
    root = dataset(tmp_path / "real", "6010_1_2")
    write(root / "sixteen_band" / "6020_0_0_M.tif", counts(5))
    (root / "sixteen_band" / "6030_0_0_M.tif").write_text("not even an image")
    assert [sample.id for sample in load_manifest(root).samples] == ["6010_1_2"]


def test_rows_of_images_that_are_not_there_are_left_alone(tmp_path: Path) -> None:
    root = dataset(tmp_path / "real", "6010_1_2", text=rows("6010_1_2") + rows("6160_2_1"))
    assert [sample.problem for sample in load_manifest(root).samples] == [""]


def test_nested_archives_are_found(tmp_path: Path) -> None:
    """As Kaggle's archives unpack, with what macOS adds to them."""
    flat = dataset(tmp_path / "flat", "6010_1_2")
    root = tmp_path / "real"
    for name, place in (
        ("sixteen_band/6010_1_2_M.tif", "sixteen_band/sixteen_band"),
        ("train_wkt_v4.csv", "train_wkt_v4.csv"),
        ("grid_sizes.csv", "grid_sizes"),
    ):
        (root / place).mkdir(parents=True)
        (flat / name).rename(root / place / Path(name).name)
    (root / "sixteen_band" / "__MACOSX").mkdir()
    (root / "sixteen_band" / "__MACOSX" / "6010_1_2_M.tif").write_text("junk")
    (root / "sixteen_band" / "._6010_1_2_M.tif").write_text("junk")
    (sample,) = load_manifest(root).samples
    assert sample.problem == ""
    assert sample.files["labels"] == "train_wkt_v4.csv/train_wkt_v4.csv"


def test_new_labels_may_come_in_tables_of_their_own(tmp_path: Path) -> None:
    root = dataset(tmp_path / "real", "6010_1_2")
    write(root / "sixteen_band" / "6040_0_0_M.tif", counts(7))
    (root / "train_wkt_2026.csv").write_text(HEADER + rows("6040_0_0", trees=box(2, 2, 6, 6)))
    (root / "grid_sizes_2026.csv").write_text(f",Xmax,Ymin\n6040_0_0,{GRID.x_max},{GRID.y_min}\n")
    manifest = load_manifest(root)
    assert [sample.problem for sample in manifest.samples] == ["", ""]
    assert manifest.samples[1].files["labels"] == "train_wkt_2026.csv"
    assert read_mask(manifest, manifest.samples[1], (HEIGHT, WIDTH))[4].any()


def test_fields_longer_than_csv_allows(tmp_path: Path) -> None:
    many = shapely.MultiPolygon([shapely.box(i * 1e-6, -2e-6, (i + 0.5) * 1e-6, -1e-6) for i in range(3000)])
    assert len(many.wkt) > 131_072
    root = dataset(tmp_path / "real", "6010_1_2", text=rows("6010_1_2", small_vehicles=many.wkt))
    (sample,) = load_manifest(root).samples
    assert (sample.problem, sample.figures["polygons"]) == ("", 3000)


@pytest.mark.parametrize(
    ("name", "region"),
    [("6110_1_2", "6110"), ("6110_3_1", "6110"), ("6140_1_2", "6110"), ("6010_0_0", "6010"), ("my_tile", "my_tile")],
)
def test_one_place_is_one_group(name: str, region: str) -> None:
    assert region_of(name) == region


def test_strata(tmp_path: Path) -> None:
    text = rows("6010_0_0") + rows("6020_0_0", buildings=box(2, 2, 6, 6))
    text += rows("6030_0_0", buildings=box(2, 2, 6, 6), waterways=box(9, 0, 12, HEIGHT))
    manifest = load_manifest(dataset(tmp_path / "real", "6010_0_0", "6020_0_0", "6030_0_0", text=text))
    assert [sample.stratum for sample in manifest.samples] == ["open", "settled", "waterway"]


# ----------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (rows("6010_1_2", trees="POLYGON ((0 0"), r"train_wkt_v4\.csv: 6010_1_2, class 5: this is not WKT"),
        ("6010_1_2,1,MULTIPOLYGON EMPTY\n", r"train_wkt_v4\.csv: 6010_1_2: there is no row for class 2"),
        (rows("6010_1_2") + "6010_1_2,3,MULTIPOLYGON EMPTY\n", "class 3 has two rows"),
        (
            "".join(line + "\n" for line in rows("6010_1_2").splitlines()[1:]) + "6010_1_2,1\n",
            "class 1: this is not WKT: ''",
        ),
        (rows("6010_1_2") + f"6010_1_2,{'7' * 5000},MULTIPOLYGON EMPTY\n", "ClassType '7+'"),
        (rows("6010_1_2") + "6010_1_2,eleven,MULTIPOLYGON EMPTY\n", "ClassType 'eleven'"),
        (rows("6010_1_2") + "6010_1_2,11,MULTIPOLYGON EMPTY\n", "class 11 is unknown"),
        (
            rows("6010_1_2") + "6010_1_2,3,POLYGON ((0 0, 1 0, 1 1))\n",
            r"6010_1_2: a row has more fields than the header",
        ),
    ],
)
def test_bad_labels_spoil_their_own_image_only(text: str, match: str, tmp_path: Path) -> None:
    root = dataset(tmp_path / "real", "6010_1_2", "6040_0_0", text=text + rows("6040_0_0"))
    bad, good = load_manifest(root).samples
    assert good.problem == ""
    with pytest.raises(AssertionError, match=match):
        raise AssertionError(bad.problem)
    assert str(tmp_path) not in bad.problem


def test_a_bad_size_spoils_its_own_image_only(tmp_path: Path) -> None:
    root = dataset(tmp_path / "real", "6010_1_2", "6040_0_0", "6050_0_0")
    (root / "grid_sizes.csv").write_text(
        f",Xmax,Ymin\n6010_1_2,0.0091\n6040_0_0,{GRID.x_max},{GRID.y_min}\n6050_0_0,-1,-1\n"
    )
    short, good, signed = load_manifest(root).samples
    assert good.problem == ""
    assert short.problem.startswith("grid_sizes.csv: line 2: 2 fields, not 3.")
    assert signed.problem.startswith("grid_sizes.csv: line 4, Xmax: '-1' is not a positive number.")


def test_what_cannot_be_understood_stays_in_a_table_as_it_was_written(tmp_path: Path) -> None:
    bad = "6010_1_2,3,POLYGON ((" + ", ".join(f"{n} {n}" for n in range(50)) + "))\n"
    root = dataset(tmp_path / "real", "6010_1_2", "6040_0_0", text=rows("6040_0_0") + bad + rows("6010_1_2"))
    (root / "grid_sizes.csv").write_text(f",Xmax,Ymin\n6010_1_2,wide\n6040_0_0,{GRID.x_max},{GRID.y_min}")
    _, good = load_manifest(root).samples
    table, sizes = root / "train_wkt_v4.csv", root / "grid_sizes.csv"
    assert excerpt(table, [good], rest=True) == (HEADER + bad + rows("6010_1_2")).encode()
    assert excerpt(table, [good]) == (HEADER + rows("6040_0_0")).encode()
    assert excerpt(sizes, [good], rest=True) == b",Xmax,Ymin\n6010_1_2,wide\n"
    assert excerpt(sizes, [good]) == f",Xmax,Ymin\n6040_0_0,{GRID.x_max},{GRID.y_min}\n".encode()


def test_bad_images_are_listed_with_their_problem(tmp_path: Path) -> None:
    root = dataset(tmp_path / "real", "6010_1_2", "6020_0_0", "6030_0_0")
    write(root / "sixteen_band" / "6010_1_2_M.tif", counts()[:3])
    (root / "sixteen_band" / "6020_0_0_M.tif").write_bytes(b"II*\0broken")
    problems = [sample.problem for sample in load_manifest(root).samples]
    assert problems[0].startswith("sixteen_band/6010_1_2_M.tif: it has 3 bands, not 8")
    assert problems[1].startswith("sixteen_band/6020_0_0_M.tif: ")
    assert problems[2] == ""


def test_what_is_ambiguous_is_a_problem(tmp_path: Path) -> None:
    root = dataset(tmp_path / "real", "6010_1_2", "6020_0_0", "6030_0_0", grids=("6010_1_2", "6020_0_0"))
    write(root / "more" / "6010_1_2_M.tif", counts(9))
    (root / "train_wkt_2.csv").write_text(HEADER + rows("6020_0_0"))
    first, second, third = (sample.problem for sample in load_manifest(root).samples)
    assert "2 images have this name" in first
    assert "train_wkt_2.csv and train_wkt_v4.csv have different labels of it" in second
    assert "no grid_sizes*.csv has a grid size of it" in third


def test_a_polygon_far_outside_shows_in_the_figures(tmp_path: Path) -> None:
    inside, outside = load_manifest(
        dataset(
            *(tmp_path / "real", "6010_1_2", "6020_0_0"),
            text=rows("6010_1_2", trees=box(0, 0, 4, 4)) + rows("6020_0_0", trees=box(WIDTH, 0, 2 * WIDTH, 5)),
        )
    ).samples
    assert inside.figures["overhang"] == pytest.approx(0, abs=1e-6)
    assert outside.figures["overhang"] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "columns are not there"),
        (b"\xff\xfe\x00\x81", "columns are "),
        (b"ImageId,WKT\na,b\n", "columns are ImageId, WKT"),
        (b'ImageId,ClassType,MultipolygonWKT,"x\na,1,x\n', "not a table"),
    ],
)
def test_a_table_that_is_none_is_refused(content: bytes, match: str, tmp_path: Path) -> None:
    path = tmp_path / "train_wkt_v4.csv"
    path.write_bytes(content)
    with pytest.raises(DataRejected, match=match) as caught:
        read_label_table(path)
    assert caught.value.where == str(path)


def test_without_the_layout_it_says_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "absent"):
        with pytest.raises(DataMissing, match=f"{folder}.*sixteen_band"):
            load_manifest(tmp_path / folder)
    root = dataset(tmp_path / "apart", "6010_1_2", text=rows("6160_2_1"))
    with pytest.raises(DataMissing, match=r"1 images <id>_M\.tif and labels of 1, but no image has labels"):
        load_manifest(root)


def test_labels_that_vanished_are_told(tmp_path: Path) -> None:
    root = dataset(tmp_path / "real", "6010_1_2")
    manifest = load_manifest(root)
    (root / "train_wkt_v4.csv").unlink()
    with pytest.raises(DataRejected, match="no such file"):
        read_labels(manifest, manifest.samples[0])


# ---------------------------------------------------------------------------------------------------------- real


def test_the_real_statistics_show_that_two_regions_are_one_place(real_data: Path) -> None:
    """Of all pairs of real training tiles, the two of 6110 and 6140 have by far the most alike class areas."""
    text = (real_data / "land_cover" / "train_class_stats_lopuhin.json").read_text()
    areas = {
        name: np.array([classes[str(kind)]["area"] for kind in range(10)]) for name, classes in json.loads(text).items()
    }
    apart = {
        (one, two): np.abs(areas[one] - areas[two]).sum() / (areas[one] + areas[two]).sum()
        for one in areas
        for two in areas
        if one < two
    }
    nearest = sorted(apart, key=lambda pair: apart[pair])
    assert set(nearest[:2]) == {("6110_1_2", "6140_1_2"), ("6110_3_1", "6140_3_1")}
    assert apart[nearest[2]] > 2 * apart[nearest[1]]
    assert SAME_PLACE == {"6140": "6110"}
