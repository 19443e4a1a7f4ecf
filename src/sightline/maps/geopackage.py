"""GeoPackage (OGC 12-128r18): features in layers, with a style that QGIS finds in the file. Only here is GDAL's vector
side known.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from sightline.errors import BackendError
from sightline.task import Json

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Features = Sequence[tuple["BaseGeometry", Mapping[str, Json]]]
"""(shapely geometry in longitude and latitude, properties); all of a layer have the same properties."""

_COLOURS = {"high": "#d7191c", "medium": "#fd8d3c", "low": "#ffd92f", "unknown": "#7b3294", "": "#2c7fb8"}
"""Of the severities of findings."""

_STYLES = """CREATE TABLE layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT, f_table_catalog TEXT DEFAULT '', f_table_schema TEXT DEFAULT '',
    f_table_name TEXT, f_geometry_column TEXT, styleName TEXT, styleQML TEXT, styleSLD TEXT DEFAULT '',
    useAsDefault BOOLEAN, description TEXT, owner TEXT DEFAULT '', ui TEXT,
    update_time DATETIME DEFAULT CURRENT_TIMESTAMP)"""


def write_geopackage(path: Path, layers: Mapping[str, Features]) -> Path:
    """Write the layers that have features, the first at the bottom; the file takes its place when it is whole.

    Raises:
        BackendError: it cannot be written.
    """
    from pyogrio.errors import DataSourceError
    from pyogrio.raw import write

    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    drawn = {name: features for name, features in layers.items() if features}
    try:
        temporary.unlink(missing_ok=True)
        for name, features in drawn.items():
            columns = {key: _column([said[key] for _, said in features]) for key in features[0][1]}
            write(
                temporary,
                geometry=np.array([shape.wkb for shape, _ in features], dtype=object),
                field_data=list(columns.values()),
                fields=list(columns),
                geometry_type=features[0][0].geom_type,
                crs="EPSG:4326",
                driver="GPKG",
                layer=name,
            )
        _add_styles(temporary, drawn)
        temporary.replace(path)
    except (DataSourceError, sqlite3.Error, OSError) as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        reason = str(error).splitlines()[0]
        raise BackendError(
            f"the GeoPackage cannot be written ({reason})",
            where=path,
            way_out="Check the disk's free space and your write permission.",
        ) from error
    return path


def _column(values: Sequence[Json]) -> NDArray[np.int64] | NDArray[np.float64] | NDArray[np.object_]:
    """Numbers as float64 with NaN where there is none, all else as text."""
    if all(_is_integer(value) for value in values):
        return np.array(values, dtype=np.int64)
    if all(value is None or isinstance(value, int | float) for value in values):
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return np.array([None if value is None else str(value) for value in values], dtype=object)


def _is_integer(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _add_styles(path: Path, layers: Mapping[str, Features]) -> None:
    """QGIS reads the table `layer_styles` of a GeoPackage; other programs pass it over."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(_STYLES)
        # The table is listed among the contents, as the standard asks of every table of users.
        connection.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('layer_styles', 'attributes', '')"
        )
        for name, features in layers.items():
            connection.execute(
                "INSERT INTO layer_styles (f_table_name, f_geometry_column, styleName, styleQML, useAsDefault)"
                " VALUES (?, 'geom', ?, ?, 1)",
                (name, name, style_of(features)),
            )


def style_of(features: Features) -> str:
    """A QGIS style (QML): findings in a colour a severity, areas as outlines, all else as grey points."""
    shape, said = features[0]
    if shape.geom_type == "Polygon":
        fill = {"style": "no", "outline_color": "#666666", "outline_width": "0.3"}
        return _single(_symbol("0", "fill", "SimpleFill", fill))
    if "severity" not in said:
        return _single(_symbol("0", "marker", "SimpleMarker", {"name": "circle", "color": "#888888", "size": "1.4"}))
    present = [severity for severity in _COLOURS if any(one["severity"] == severity for _, one in features)]
    categories = "".join(
        f'<category symbol="{number}" value={quoteattr(severity)} label={quoteattr(severity or "finding")}'
        ' render="true"/>'
        for number, severity in enumerate(present)
    )
    symbols = "".join(
        _symbol(str(number), "marker", "SimpleMarker", {"name": "circle", "color": _COLOURS[severity], "size": "3"})
        for number, severity in enumerate(present)
    )
    return _qgis(
        '<renderer-v2 type="categorizedSymbol" attr="severity" enableorderby="0" forceraster="0" symbollevels="0">'
        f"<categories>{categories}</categories><symbols>{symbols}</symbols></renderer-v2>"
    )


def _single(symbol: str) -> str:
    return _qgis(f'<renderer-v2 type="singleSymbol" symbollevels="0"><symbols>{symbol}</symbols></renderer-v2>')


def _symbol(name: str, kind: str, layer: str, options: Mapping[str, str]) -> str:
    said = "".join(f'<Option type="QString" name={quoteattr(k)} value={quoteattr(v)}/>' for k, v in options.items())
    return (
        f'<symbol name={quoteattr(name)} type="{kind}" alpha="1" clip_to_extent="1">'
        f'<layer class="{layer}" enabled="1" locked="0" pass="0"><Option type="Map">{said}</Option></layer></symbol>'
    )


def _qgis(renderer: str) -> str:
    return f'<!DOCTYPE qgis PUBLIC "http://mrcc.com/qgis.dtd" "SYSTEM">\n<qgis version="3.22">{renderer}</qgis>'
