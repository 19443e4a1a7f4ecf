"""Sightline: trains, evaluates, serves and watches vision models."""

__version__ = "0.1.0"
