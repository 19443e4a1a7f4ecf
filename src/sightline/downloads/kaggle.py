"""Data sets of Kaggle, by Kaggle's own client, kagglehub: it resumes, checks and keeps what it downloaded."""

from __future__ import annotations

import contextlib
import logging
import sys
import zipfile
from pathlib import Path

from sightline.errors import BackendError, DataMissing, DataRejected, ParamsError, SightlineError

_CREDENTIALS = (
    "Make a token at kaggle.com (Settings, API), then either put kaggle.json into ~/.kaggle/, or set KAGGLE_API_TOKEN,"
    " or KAGGLE_USERNAME and KAGGLE_KEY."
)
_ATTEMPTS = 3


def download_dataset(ref: str) -> Path:
    """Download a data set (`owner/dataset`), or find it in kagglehub's cache (~/.cache/kagglehub, KAGGLEHUB_CACHE).

    Raises:
        DataMissing: credentials lack or are wrong (says how to give them), or there is no such data set.
        DataRejected: what arrived is damaged; it was removed.
        ParamsError: the credentials' file cannot be read.
        BackendError: Kaggle cannot be reached, or the disk is full.
    """
    with contextlib.redirect_stdout(sys.stderr):  # where its messages go is settled at the first import
        import kagglehub
    import requests

    logging.getLogger("kagglehub").setLevel(logging.WARNING)  # its bar says enough
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with contextlib.redirect_stdout(sys.stderr):  # it may speak of its newer versions
                return Path(kagglehub.dataset_download(ref))
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            if attempt == _ATTEMPTS:  # each attempt goes on where the last one broke off
                raise BackendError(
                    f"Kaggle cannot be reached ({type(error).__name__})",
                    where=ref,
                    way_out="Check the network and run it again: it goes on where it stopped.",
                ) from error
        except Exception as error:
            raise _translate(error, ref) from error
    raise AssertionError("the last attempt returns or raises")


def _translate(error: Exception, ref: str) -> SightlineError:
    """What kagglehub raises -> our error."""
    import requests
    from kagglehub.exceptions import CredentialError, DataCorruptionError, UnauthenticatedError

    answer = getattr(error, "response", None)
    status = answer.status_code if isinstance(answer, requests.Response) else 0
    if isinstance(error, CredentialError | UnauthenticatedError):
        status = 401
    if status:
        return _refused(status, ref)
    if isinstance(error, DataCorruptionError | zipfile.BadZipFile):
        return DataRejected("what arrived from Kaggle is damaged", where=ref, way_out="Fetch it again.")
    if isinstance(error, OSError):
        return BackendError(
            f"the data set cannot be written ({error.strerror or error})",
            where="~/.cache/kagglehub",
            way_out="Make room on the disk, or set KAGGLEHUB_CACHE to another folder; then run it again.",
        )
    if isinstance(error, ValueError) and "redentials" in str(error):
        return ParamsError(str(error), where="~/.kaggle/kaggle.json", way_out=_CREDENTIALS)
    return BackendError(f"Kaggle's client failed ({type(error).__name__}: {error})", where=ref)


def _refused(status: int, ref: str) -> SightlineError:
    if status in (401, 403):
        return DataMissing(f"Kaggle wants credentials for {ref}", where="kaggle.com", way_out=_CREDENTIALS)
    if status == 404:
        return DataMissing("Kaggle has no such data set", where=ref, way_out="See kaggle.com whether it has moved.")
    return BackendError(f"Kaggle answered {status}", where=ref, way_out="Try again later.")
