"""From an area on the map to one georeferenced raster: outline, zoom, tiles of a provider, mosaic, positions."""
