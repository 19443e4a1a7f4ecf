"""From an area on the map to one georeferenced raster, enlarged or not; and from findings to a GeoPackage."""
