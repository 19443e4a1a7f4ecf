"""Downloads of published data: plain HTTPS with resume and checksum, archives unpacked safely, Kaggle's own client,
Zenodo's list of files.

Nothing is downloaded unless a person asks for it (`sightline data fetch`).
"""

from sightline.downloads.archives import is_archive, unpack, unpack_nested
from sightline.downloads.https import Retries, download
from sightline.downloads.kaggle import download_competition_file, download_dataset
from sightline.downloads.zenodo import list_record

__all__ = [
    "Retries",
    "download",
    "download_competition_file",
    "download_dataset",
    "is_archive",
    "list_record",
    "unpack",
    "unpack_nested",
]
