"""Ships in satellite pictures: from an area on the map to ships with coordinates."""
