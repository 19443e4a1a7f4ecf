"""Zenodo: a record tells by its public API which files it has, with their checksums; no account is needed."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import AliasPath, BaseModel, Field

from sightline.downloads.https import Retries, read_document
from sightline.errors import DataMissing, DataRejected
from sightline.upstream import RemoteFile

_PAGE = re.compile(r"/records/\d+")
_NAME = re.compile(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*")
_CHECKSUM = re.compile(r"md5:[0-9a-f]{32}")


class _Entry(BaseModel):
    """One of a record's files: {"key", "checksum": "md5:...", "size", "links": {"self"}}."""

    key: str
    checksum: str
    size: int = 0
    address: str = Field(validation_alias=AliasPath("links", "self"))

    def file(self) -> RemoteFile:
        """Raises ValueError where its name or its checksum cannot be."""
        if not (_NAME.fullmatch(self.key) and _CHECKSUM.fullmatch(self.checksum)):
            raise ValueError(self.key)
        return RemoteFile(self.address, self.checksum, self.size, self.key)


class _Record(BaseModel):
    files: list[_Entry] = []


def list_record(page: str, retries: Retries | None = None) -> tuple[RemoteFile, ...]:
    """The files of a record, as its API lists them now.

    Args:
        page: the address a person would read, such as `https://zenodo.org/records/10939100`.
        retries: how patient to be.

    Raises:
        DataMissing: this is no record, it is not there, it wants a login, or it has no files to download.
        DataRejected: what the API answers is no list of files with their checksums.
        BackendError: the server or the network fails again and again.
        ParamsError: the address is not https.
    """
    where = page.replace("/records/", "/api/records/", 1)
    if not _PAGE.fullmatch(urlsplit(page).path):
        raise DataMissing(
            "this is not the page of a Zenodo record",
            where=page,
            way_out="Give an address of the form https://zenodo.org/records/NUMBER.",
        )
    try:
        files = tuple(entry.file() for entry in _Record.model_validate_json(read_document(where, retries)).files)
    except ValueError as error:
        raise DataRejected(
            "Zenodo's list of the record's files has an unknown form",
            where=where,
            way_out=f"Download them from {page} with your browser and use `sightline data add`.",
        ) from error
    if not files:
        raise DataMissing(
            "the record has no public files",
            where=page,
            way_out="Open the record's page and ask its authors for access.",
        )
    return files
