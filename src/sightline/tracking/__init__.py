"""MLflow: runs, artifacts and the model registry. The only package that imports it, and only where it must.

A model version carries its whole lineage as tags (`TAGS`), and the files that a promotion or a reproduction needs
as artifacts of its run. Aliases: champion, challenger, previous, and one a candidate.
"""

from sightline.tracking.client import Live, Tracking
from sightline.tracking.interface import Registry
from sightline.tracking.record import TAGS, Record
from sightline.tracking.registry import Version

__all__ = ["TAGS", "Live", "Record", "Registry", "Tracking", "Version"]
