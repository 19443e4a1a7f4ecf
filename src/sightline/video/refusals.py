"""What is said of videos that are not read, and of cameras that are not reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sightline.errors import BackendError, DataMissing, DataRejected, SightlineError

if TYPE_CHECKING:
    import av

COPY_AGAIN = "Copy the file again from the original, or convert it to MP4."
NO_VIDEO = "there is no video in it"


def _reason(error: av.FFmpegError) -> str:
    return (error.strerror or type(error).__name__).lower()


def no_video(error: av.FFmpegError, where: str) -> DataRejected:
    """Of a file that is none."""
    return DataRejected(
        f"the content is not that of a video ({_reason(error)})",
        where=where,
        way_out="Give a video: MP4, MKV, AVI or MJPEG. If it is one, copy it again from the original.",
    )


def damaged(error: av.FFmpegError, where: str) -> DataRejected:
    """Of a piece that cannot be decoded."""
    return DataRejected(f"the video is damaged ({_reason(error)})", where=where, way_out=COPY_AGAIN)


def unreachable(error: av.FFmpegError, where: str) -> SightlineError:
    """Why a camera was not opened."""
    import av

    match error:
        case av.HTTPUnauthorizedError() | av.HTTPForbiddenError():
            return DataRejected(
                "the camera asks for a user and a password, or does not take these",
                where=where,
                way_out="Write them into the address: rtsp://USER:PASSWORD@HOST/PATH.",
            )
        case av.HTTPNotFoundError() | av.FileNotFoundError():
            return DataMissing("the camera has no such stream", where=where, way_out="Check the path of its address.")
        case av.InvalidDataError() | av.ArgumentError() | av.LookupError():
            return DataRejected(
                f"what comes from there is no video ({_reason(error)})",
                where=where,
                way_out="Check the address: a camera's page is not its stream.",
            )
        case _:
            return BackendError(
                f"the camera cannot be reached or read ({_reason(error)})",
                where=where,
                way_out="Check that it is on, that this machine reaches it, and that its address is that of a stream.",
            )


def untrusted(why: str, where: str) -> BackendError:
    """Of a camera whose certificate nobody vouches for."""
    return BackendError(
        f"the certificate of the camera is not trusted ({why})",
        where=where,
        way_out="Let SSL_CERT_FILE name a file with the certificate of whoever signed it.",
    )


def silent(where: str, open_s: float) -> BackendError:
    """Of a camera that takes too long to answer."""
    return BackendError(
        f"the camera does not answer within {open_s:g} s",
        where=where,
        way_out="Check that it is on, and that this machine reaches it.",
    )


def lost(error: av.FFmpegError, where: str) -> BackendError:
    """Of a camera that was open."""
    return BackendError(f"the camera is lost ({_reason(error)})", where=where, way_out="Check its network and power.")


def stalled(where: str, frame_s: float) -> BackendError:
    """Of a camera whose next frame takes too long."""
    return BackendError(f"no frame came for {frame_s:g} s", where=where, way_out="Check the camera and its network.")
