"""Data sets and competitions of Kaggle, by Kaggle's own client, kagglehub: it resumes, checks and keeps them."""

from __future__ import annotations

import contextlib
import logging
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    return _ask(lambda kagglehub: kagglehub.dataset_download(ref), ref, lambda status: _refused(status, ref))


def download_competition_file(ref: str, name: str) -> Path:
    """Download one file of a competition as Kaggle keeps it (an archive stays one), or find it in kagglehub's cache.

    Raises:
        DataMissing: credentials lack or are wrong, the account has not accepted the competition's rules (each says
            how to go on), or there is no such competition or file.
        DataRejected, ParamsError, BackendError: as `download_dataset`.
    """
    return _ask(
        lambda kagglehub: kagglehub.competition_download(ref, path=name),
        f"{ref}/{name}",
        lambda status: _competition_refused(status, ref, name),
    )


def _ask(download: Callable[[Any], str], what: str, refused: Callable[[int], SightlineError]) -> Path:
    """Let kagglehub download; where it put what it got."""
    with contextlib.redirect_stdout(sys.stderr):  # where its messages go is settled at the first import
        import kagglehub
    import requests

    logging.getLogger("kagglehub").setLevel(logging.WARNING)  # its bar says enough
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with contextlib.redirect_stdout(sys.stderr):  # it may speak of its newer versions
                return Path(download(kagglehub))
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            if attempt == _ATTEMPTS:  # each attempt goes on where the last one broke off
                raise BackendError(
                    f"Kaggle cannot be reached ({type(error).__name__})",
                    where=what,
                    way_out="Check the network and run the command again: it continues where it stopped.",
                ) from error
        except Exception as error:
            raise _translate(error, what, refused) from error
    raise AssertionError("the last attempt returns or raises")


def _translate(error: Exception, what: str, refused: Callable[[int], SightlineError]) -> SightlineError:
    """What kagglehub raises -> our error."""
    import requests
    from kagglehub.exceptions import CredentialError, DataCorruptionError, UnauthenticatedError

    response = getattr(error, "response", None)
    status = response.status_code if isinstance(response, requests.Response) else 0
    if isinstance(error, CredentialError | UnauthenticatedError):
        status = 401
    if status:
        return refused(status)
    if isinstance(error, DataCorruptionError | zipfile.BadZipFile):
        return DataRejected(
            "the download from Kaggle is damaged", where=what, way_out="Remove the file and download it again."
        )
    if isinstance(error, OSError):
        return BackendError(
            f"the data set cannot be written ({error.strerror or error})",
            where="~/.cache/kagglehub",
            way_out=(
                "Free some space on the disk, or set KAGGLEHUB_CACHE to another folder; then run the command again."
            ),
        )
    if isinstance(error, ValueError) and "redentials" in str(error):
        return ParamsError(str(error), where="~/.kaggle/kaggle.json", way_out=_CREDENTIALS)
    return BackendError(f"Kaggle's client failed ({type(error).__name__}: {error})", where=what)


def _refused(status: int, ref: str) -> SightlineError:
    if status in (401, 403):
        return DataMissing(f"Kaggle requires credentials for {ref}", where="kaggle.com", way_out=_CREDENTIALS)
    if status == 404:
        return DataMissing(
            "Kaggle has no such data set", where=ref, way_out="Search for it on kaggle.com: it may have moved."
        )
    return BackendError(f"Kaggle answered {status}", where=ref, way_out="Try again later.")


def _competition_refused(status: int, ref: str, name: str) -> SightlineError:
    if status == 403:
        return DataMissing(
            f"Kaggle does not give {name} to your account: the rules of the competition are not accepted, or the"
            " credentials are not allowed",
            where=ref,
            way_out="Log in with the account of your credentials and accept the rules (late submission is enough) at"
            f" https://www.kaggle.com/competitions/{ref}/rules. Then run the command again.",
        )
    if status == 404:
        return DataMissing(
            f"Kaggle has no file {name} of such a competition",
            where=ref,
            way_out="Search for it on kaggle.com: it may have moved.",
        )
    return _refused(status, ref)
