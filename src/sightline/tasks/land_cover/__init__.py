"""Ten overlapping kinds of land cover in eight-band satellite tiles."""
