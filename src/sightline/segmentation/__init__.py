"""What the tasks share that answer with masks: masks and polygons, tiling, networks and their training."""
