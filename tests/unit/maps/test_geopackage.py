"""What is written is read by others."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from xml.etree import ElementTree

import pytest
from shapely import Point, Polygon

from sightline.errors import BackendError
from sightline.maps.geopackage import write_geopackage

LAYERS = {
    "footprints": [(Polygon([(10, 50), (10.1, 50), (10.1, 50.1)]), {"file": "a.jpg"})],
    "pictures": [(Point(10, 50), {"file": "ä.jpg", "time": None, "height_m": 12.5})],
    "findings": [
        (Point(10.01, 50.02), {"file": "a.jpg", "severity": "high", "rise_k": 12.5, "thing": 1}),
        (Point(10.02, 50.03), {"file": "b.jpg", "severity": "unknown", "rise_k": None, "thing": 2}),
    ],
    "empty": [],
}


def test_geopandas_reads_layers_places_and_figures(tmp_path: Path) -> None:
    import geopandas

    path = write_geopackage(tmp_path / "flight.gpkg", LAYERS)
    findings = geopandas.read_file(path, layer="findings")
    assert findings.crs.to_epsg() == 4326
    assert [(p.x, p.y) for p in findings.geometry] == [(10.01, 50.02), (10.02, 50.03)]
    assert findings["severity"].tolist() == ["high", "unknown"]
    assert findings["rise_k"].isna().tolist() == [False, True]
    assert geopandas.read_file(path, layer="pictures")["file"].tolist() == ["ä.jpg"]
    assert geopandas.read_file(path, layer="footprints").geometry[0].area == pytest.approx(0.005)


def test_qgis_finds_a_style_for_each_layer(tmp_path: Path) -> None:
    path = write_geopackage(tmp_path / "flight.gpkg", LAYERS)
    with sqlite3.connect(path) as connection:
        styles = dict(connection.execute("SELECT f_table_name, styleQML FROM layer_styles WHERE useAsDefault"))
        listed = {name for (name,) in connection.execute("SELECT table_name FROM gpkg_contents")}
    connection.close()
    assert set(styles) == {"footprints", "pictures", "findings"}
    assert {"layer_styles", *styles} == listed
    severities = [one.get("value") for one in ElementTree.fromstring(styles["findings"]).iter("category")]
    assert severities == ["high", "unknown"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = write_geopackage(tmp_path / "flight.gpkg", LAYERS)
    before = path.read_bytes()
    (tmp_path / ".flight.partial.gpkg").mkdir()
    with pytest.raises(BackendError, match="GeoPackage"):
        write_geopackage(path, LAYERS)
    assert path.read_bytes() == before
