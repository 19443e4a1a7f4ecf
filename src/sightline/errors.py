"""Every error that Sightline raises on purpose.

    SightlineError
    |-- ParamsError            params.yaml or a setting is wrong                     exit 3
    |-- DataError              data are absent or not what they should be            exit 4
    |   |-- DataMissing        a file, set or data version is not there
    |   `-- DataRejected       a file or a set was looked at and refused
    |-- ModelError             a model is absent or not usable                       exit 5
    |   |-- ModelMissing       no such version, alias or directory
    |   `-- ModelRejected      the directory was read and refused
    |-- RequestError           a request to an endpoint is wrong (HTTP 4xx)          exit 6
    `-- BackendError           a server, a disk or a vendor failed (HTTP 503)        exit 7

Each says what is wrong, where, and the way out. `BackendError` is the only one worth retrying.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with what is not UTF-8 shown as `\\udcff`.

    Linux takes any bytes as a file's name, and Python hands on what is no UTF-8 as lone surrogates, which no terminal,
    log or database takes.
    """
    return text.encode("utf-8", "backslashreplace").decode()


class SightlineError(Exception):
    """Base of the tree.

    Args:
        what: what is wrong, one sentence without a full stop.
        where: the file, field or address it is about.
        way_out: what the reader can do now.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: object = "", way_out: str = "") -> None:
        what, place, way_out = printable(what), printable(str(where)), printable(way_out)
        super().__init__(what, place, way_out)
        self.what = what
        self.where = place
        self.way_out = way_out

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        hint = f" {self.way_out}" if self.way_out else ""
        return f"{place}{self.what.rstrip('.')}.{hint}"

    def __reduce__(self) -> tuple[object, ...]:
        """Keyword-only arguments survive pickling between processes."""
        return (_rebuild, (type(self), self.what, self.where, self.way_out))


def _rebuild(kind: type[SightlineError], what: str, where: str, way_out: str) -> SightlineError:
    return kind(what, where=where, way_out=way_out)


class ParamsError(SightlineError):
    """params.yaml, a setting or a command-line value is wrong."""

    exit_code = 3


class DataError(SightlineError):
    """Data are absent or refused."""

    exit_code = 4


class DataMissing(DataError):
    """A file, a set or a data version is not there."""


class DataRejected(DataError):
    """A file or a set was looked at and refused."""


class ModelError(SightlineError):
    """A model is absent or refused."""

    exit_code = 5


class ModelMissing(ModelError):
    """No such version, alias or model directory."""


class ModelRejected(ModelError):
    """A model directory was read and refused."""


class RequestError(SightlineError):
    """A request to an endpoint is wrong; carries the HTTP status."""

    exit_code = 6

    def __init__(self, what: str, *, where: object = "", way_out: str = "", status: int = 400) -> None:
        super().__init__(what, where=where, way_out=way_out)
        self.status = status


class BackendError(SightlineError):
    """A server, a disk or a vendor library failed; trying again may help, at best after so many seconds."""

    exit_code = 7

    def __init__(self, what: str, *, where: object = "", way_out: str = "", retry_after_s: int = 1) -> None:
        super().__init__(what, where=where, way_out=way_out)
        self.retry_after_s = retry_after_s
