"""Enlarging pictures of the ground four times: kernels, a small network of the project's own, and RRDBNet."""
