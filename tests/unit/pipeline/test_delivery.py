"""Tables, GeoPackage and report of a batch."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from sightline.drift.background import Background, Part
from sightline.drift.familiarity import UNLIKE
from sightline.pipeline.batch import Answered
from sightline.pipeline.delivery import Delivery, Picture, deliver, finding_rows, picture_of, picture_rows
from sightline.pipeline.report_map import draw_maps
from sightline.shots import Shot, ground_of

SHOT = Shot(
    time="2026-06-01T10:00:00",
    lon=10.0,
    lat=50.0,
    height_m=20.0,
    yaw_deg=0.0,
    pitch_deg=-90.0,
    focal_share=0.8,
    position_error_m=0.02,
)

BACKGROUND = Background((Part("sample", 60),), (Part("sample", 12),), "d41d8c")


def picture(name: str, shot: Shot = SHOT, *rises: float, severity: str = "high") -> Picture:
    ground = ground_of(shot, 640, 512)
    findings = []
    for number, rise in enumerate(rises):
        x = 100.0 + 80 * number
        corners = [(x, 100.0), (x + 40, 100.0), (x + 40, 160.0), (x, 160.0)]
        findings.append(
            {
                "kind": "hot module",
                "score": 0.9,
                "box": [x, 100.0, x + 40, 160.0],
                "severity": severity,
                "figures": {"rise_k": rise},
                "ground": None if ground is None else ground.lonlat(corners).tolist(),
            }
        )
    summary = {"modules": 40, "hot_modules": len(rises)}
    return Picture(
        f"f/{name}.jpg", name, "ab" * 32, f"40 modules, {len(rises)} hot", summary, findings, shot, (640, 512)
    )


def delivery(out: Path, *pictures: Picture, refused: dict[str, str] | None = None) -> Delivery:
    identity = {"task": "pv_hotspots", "version": 3, "data_version": "d41d8c", "candidate": "fused"}
    conditions = {"irradiance_w_per_m2": 850.0}
    return Delivery("pv_hotspots", out, identity, BACKGROUND, conditions, None, pictures, refused or {}, drawn=True)


@pytest.fixture
def flight(tmp_path: Path) -> Delivery:
    pictures = [picture("a", SHOT, 12.0, 30.5), picture("b", SHOT, 12.5), picture("c", Shot())]
    for one in pictures:
        Image.new("RGB", (640, 512), (10, 20, 30)).save(tmp_path / f"{one.name}.png")
    return delivery(tmp_path, *pictures, refused={"f/d.jpg": "f/d.jpg: the image is truncated. Copy <it> again."})


def test_everything_is_written_and_read_again(flight: Delivery) -> None:
    names = [path.name for path in deliver(flight)]
    assert names == ["summary.csv", "summary.parquet", "findings.csv", "flight.gpkg", "report.html"]
    with (flight.out / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == ["f/a.jpg", "f/b.jpg", "f/c.jpg", "f/d.jpg"]
    assert rows[0]["hot_modules"] == "2"
    assert "truncated" in rows[3]["problem"]
    table = pq.read_table(flight.out / "summary.parquet")
    assert table["lon"].to_pylist() == [10.0, 10.0, None, None]


def test_a_module_that_two_pictures_show_is_counted_once(flight: Delivery) -> None:
    assert flight.counts() == {("hot module", "high"): (3, 2)}
    things = [(row["rise_k"], row["thing"]) for row in finding_rows(flight)]
    assert [rise for rise, _ in things] == [30.5, 12.5, 12.0]
    assert things[1][1] == things[2][1] != things[0][1]


def test_a_finding_lies_where_it_is_or_is_said_to_lie_at_the_camera(tmp_path: Path) -> None:
    placed, vague = picture("a", SHOT, 5.0), picture("b", replace(SHOT, height_m=None), 5.0)
    rows = {row["file"]: row for row in finding_rows(delivery(tmp_path, placed, vague))}
    assert rows["f/a.jpg"]["position"] == "finding"
    assert rows["f/a.jpg"]["lon"] < 10.0  # left of the middle, and north is up
    assert rows["f/b.jpg"]["position"] == "camera"
    assert rows["f/b.jpg"]["lon"] == 10.0


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.sources += [value for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_data(self, data) -> None:
        self.text += data + " "


def test_the_report_is_one_file_that_names_all_that_matters(flight: Delivery) -> None:
    deliver(flight)
    text = (flight.out / "report.html").read_text()
    page = _Page(text)
    assert page.sources  # pictures of the findings
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    for words in (
        "Severity: high",
        "rise 30.5 K",
        "d41d8c",
        "850",
        "f/d.jpg",
        "Copy <it> again",
        "3 findings show 2",
        "never seen a real",
    ):
        assert words in page.text
    assert "<svg" in text
    assert "<it>" not in text


def test_a_finding_beyond_the_antimeridian_has_a_longitude_that_exists(tmp_path: Path) -> None:
    last = picture("a", replace(SHOT, lon=180.0, yaw_deg=180.0), 5.0)  # what is left of the middle lies to the east
    (row,) = finding_rows(delivery(tmp_path, last))
    assert -180 <= row["lon"] < -179.99


def test_findings_are_cut_out_of_a_drawing_of_any_size(tmp_path: Path) -> None:
    large = replace(picture("a", SHOT, 5.0), size=(13000, 7000))
    Image.new("1", (13000, 7000)).save(tmp_path / "a.png")
    deliver(delivery(tmp_path, large))
    assert len(_Page((tmp_path / "report.html").read_text()).sources) == 1


def numbers_of(drawing: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf' {name}="([-0-9.]+)"', drawing)]


def test_each_site_of_a_flight_is_drawn_for_itself_and_none_is_a_dot(tmp_path: Path) -> None:
    north = replace(SHOT, lat=50.3)
    pictures = [picture("a", SHOT, 12.0), picture("b", north, 5.0), picture("c", replace(SHOT, lon=10.0005), 5.0)]
    drawings = draw_maps(delivery(tmp_path, *pictures))
    assert [drawing.count('class="camera"') for drawing in drawings] == [2, 1]
    for drawing in drawings:
        wide, tall = map(float, re.findall(r'viewBox="0 0 (\d+) (\d+)"', drawing)[0])
        assert (wide, tall < 600) == (720, True)
        assert all(0 <= x <= wide for x in numbers_of(drawing, "cx"))
        assert all(0 <= y <= tall for y in numbers_of(drawing, "cy"))
    line = [replace(SHOT, lon=10.0 + step * 0.001) for step in range(12)]  # 72 m apart, 790 m in all
    assert len(draw_maps(delivery(tmp_path, *(picture(f"p{n}", shot) for n, shot in enumerate(line))))) == 1


def test_a_flight_without_places_has_no_map_and_says_so(tmp_path: Path) -> None:
    nowhere = delivery(tmp_path, picture("a", Shot(), 5.0), picture("b", Shot(), 5.0))
    nowhere = replace(nowhere, drawn=False)
    names = [path.name for path in deliver(nowhere)]
    text = (tmp_path / "report.html").read_text()
    assert "flight.gpkg" not in names
    assert "there is no map" in text
    assert "may be counted more than once" in text


def test_a_name_is_no_formula_and_no_markup(tmp_path: Path) -> None:
    odd = replace(picture("a", SHOT), file='=HYPERLINK("http://evil.example")<script>.jpg')
    deliver(replace(delivery(tmp_path, odd), drawn=False))
    assert not any(row[0].startswith("=") for row in csv.reader((tmp_path / "summary.csv").read_text().splitlines()))
    assert "<script>" not in (tmp_path / "report.html").read_text()


def test_what_the_model_says_of_an_input_reaches_the_reader(tmp_path: Path) -> None:
    noted = [replace(picture(name), note="Temperatures cannot be read from this file.") for name in "ab"]
    drawn = replace(delivery(tmp_path, *noted, picture("c")), drawn=False)
    deliver(drawn)
    assert "cannot be read from this file. (2 pictures)" in (tmp_path / "report.html").read_text()
    assert [row["note"] != "" for row in picture_rows(drawn)] == [True, True, False]


def test_pictures_that_are_unlike_the_training_data_are_marked(tmp_path: Path) -> None:
    odd = replace(picture("a"), familiarity=UNLIKE)
    deliver(replace(delivery(tmp_path, odd, picture("b")), drawn=False))
    text = (tmp_path / "report.html").read_text()
    assert "Unlike anything that the model was trained on: 1 picture, marked below." in text
    assert f"<td>f/a.jpg</td><td>{SHOT.time}</td><td>40 modules, 0 hot</td><td>{UNLIKE}</td>" in text


def test_all_rows_have_the_same_columns_whatever_was_found(tmp_path: Path) -> None:
    levels = replace(picture("b"), summary={"modules": 3, "largest_rise_level": 4.0})
    rows = picture_rows(delivery(tmp_path, picture("a"), levels, refused={"c": "why"}))
    assert len({tuple(row) for row in rows}) == 1
    json.dumps(rows)


def test_only_refused_files_give_a_report_too(tmp_path: Path) -> None:
    deliver(delivery(tmp_path, refused={"a.jpg": "a.jpg: it is empty."}))
    assert "a.jpg: it is empty." in (tmp_path / "report.html").read_text()


def ship(length_m: float, beam_m: float, **more: float) -> dict:
    figures = {"length_m": length_m, "beam_m": beam_m, **more}
    return {"kind": "ship", "score": 0.9, "box": [100.0, 100.0, 140.0, 160.0], "severity": "", "figures": figures}


def test_an_answer_is_reported_alike_whether_it_is_fresh_or_read_again(tmp_path: Path) -> None:
    document = {
        "sha256": "ab" * 32,
        "found": "2 ships",
        "summary": {"ships": 2, "below_50_m": 0},
        "findings": [ship(90.0, 30.0), ship(200.0, 20.0, lon=1.0, lat=59.0)],
        "familiarity": {"word": "familiar"},
    }
    written = json.loads(json.dumps(document, sort_keys=True))
    tables = []
    for name, one in (("fresh", document), ("reused", written)):
        pictures = [picture_of(Answered("a.png", "a", document=one))]
        deliver(replace(delivery(tmp_path / name, *pictures), drawn=False))
        tables.append([(tmp_path / name / table).read_text() for table in ("summary.csv", "findings.csv")])
        assert [row["length_m"] for row in finding_rows(delivery(tmp_path, *pictures))] == [200.0, 90.0]
    assert tables[0] == tables[1]


def test_large_figures_are_whole_numbers_and_small_ones_keep_their_digits(tmp_path: Path) -> None:
    figures = {"area_px": 12345, "length_m": 203.17, "beam_m": 1234.5}
    one = replace(picture("a"), findings=[{**ship(1.0, 1.0), "figures": figures}])
    deliver(replace(delivery(tmp_path, one), drawn=False))
    text = _Page((tmp_path / "report.html").read_text()).text
    assert all(words in text for words in ("area 12,345 px", "length 203.2 m", "beam 1,234 m"))


def test_a_georeferenced_picture_has_a_place_though_no_camera_tells_one(tmp_path: Path) -> None:
    raster = replace(picture("a", Shot()), georeferenced=True)
    with_ship = replace(raster, findings=[ship(200.0, 20.0, lon=1.0, lat=59.0)])
    nowhere = picture("b", Shot())

    def said(*pictures: Picture) -> str:
        deliver(replace(delivery(tmp_path, *pictures), drawn=False))
        return _Page((tmp_path / "report.html").read_text()).text

    assert "is unknown" not in said(with_ship, raster)
    assert "The position of 1 picture is unknown." in said(with_ship, nowhere)
    assert "Nothing was found that could be shown" in said(raster)
    assert "No picture says where it was taken" in said(nowhere)


def test_the_map_of_an_earlier_call_does_not_stay(tmp_path: Path) -> None:
    deliver(replace(delivery(tmp_path, picture("a", SHOT, 5.0)), drawn=False))
    assert (tmp_path / "flight.gpkg").is_file()
    deliver(replace(delivery(tmp_path, picture("a", Shot(), 5.0)), drawn=False))
    assert not (tmp_path / "flight.gpkg").exists()
