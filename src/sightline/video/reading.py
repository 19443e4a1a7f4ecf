"""Frames of a video, decoded by PyAV (FFmpeg) one at a time: memory stays flat, however long the video is.

What a file or a camera claims is checked before a pixel is decoded. FFmpeg follows what is written in a video to other
files and addresses (playlists, subtitles): only the formats named here are opened, and only by the protocols that fit.
"""

from __future__ import annotations

import io
import ssl
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self, cast

import numpy as np
from numpy.typing import NDArray

from sightline.capabilities import Frame
from sightline.errors import DataRejected, SightlineError
from sightline.files import open_file
from sightline.limits import Limits
from sightline.video.addresses import Kind, certificate_problem, check_resolves, shown
from sightline.video.refusals import (
    COPY_AGAIN,
    NO_VIDEO,
    damaged,
    lost,
    no_video,
    silent,
    stalled,
    unreachable,
    untrusted,
)

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_FILE_FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,asf,ogg,flv,gif,mjpeg,h264,hevc,yuv4mpegpipe"
_NETWORK_FORMATS = f"{_FILE_FORMATS},mpjpeg,hls,rtsp,rtp,sdp"
_PROTOCOLS: dict[Kind, str] = {"rtsp": "rtsp,rtp,udp,tcp,tls", "http": "http,https,tcp,tls,crypto,hls"}
_NAP_S = 0.005


@dataclass(frozen=True)
class Waits:
    """How long is waited for a camera.

    Attributes:
        open_s: until it answers and says what it sends.
        frame_s: for its next frame; one that sends none for so long has stalled.
    """

    open_s: float = 10.0
    frame_s: float = 10.0


@dataclass(frozen=True)
class _Opened:
    """A container, and the file of ours that it reads, if it does."""

    container: InputContainer
    file: BinaryIO | None = None

    def close(self) -> None:
        self.container.close()
        if self.file is not None:
            self.file.close()


class Video:
    """The frames of one open video, in their order.

    The next frame may raise DataRejected where a piece of the video is damaged; the one after that goes on behind it.
    It raises BackendError where a camera is lost, and ends after that.

    Attributes:
        where: what messages call it.
        live: whether it goes on by itself: what is not read in time is gone.
        size: (h, w) as its head says, as it is shown.
        count: number of frames as its head says; None where it does not.
    """

    def __init__(self, opened: _Opened, where: str, limits: Limits, live: bool, waits: Waits) -> None:
        container = opened.container
        self.where = where
        self._limits = limits
        self._opened = opened
        self._container = container
        self._waits = waits
        self._stream = _video_stream(container, where)
        self.live = live
        self.size = self._prepare()
        self.count = None if self.live else (self._stream.frames or _counted(self._stream, container))
        self._packets: Iterator[Packet[VideoStream]] = container.demux(self._stream)
        self._ready: deque[VideoFrame] = deque()
        self._ended = False
        self._given = 0
        self._began_s: float | None = None
        self._last_s = time.monotonic()

    def _prepare(self) -> tuple[int, int]:
        context = self._stream.codec_context
        width, height = context.width, context.height
        _check_size(width, height, self._limits, self.where)
        # A video may change its size on the way, and the decoder refuses what is larger than this.
        context.options = {**context.options, "max_pixels": str(_rounded_up(width, height, self._limits))}
        context.thread_type = "SLICE" if self.live else "AUTO"  # by frames it is faster, and some frames late
        return height, width

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        while not self._ready:
            if self._ended:
                self.close()
                raise StopIteration
            self._decode_more()
        return self._made(self._ready.popleft())

    def _decode_more(self) -> None:
        """Decode one packet more; it may hold several frames, or none."""
        import av

        try:
            packet = next(self._packets)
        except (StopIteration, av.EOFError):
            self._ended = True
            return
        except av.BlockingIOError:  # a device that has nothing yet
            self._packets = self._container.demux(self._stream)  # the one that raised is at its end
            self._nap()
            return
        except av.FFmpegError as error:
            self._ended = True
            raise self._broken_off(error) from None
        try:
            self._ready.extend(packet.decode())
        except av.EOFError:
            self._ended = True
        except av.FFmpegError as error:
            self._given += 1  # it has its place in the video
            raise damaged(error, self.where) from error

    def _broken_off(self, error: av.FFmpegError) -> SightlineError:
        if not self.live:
            return damaged(error, self.where)
        return stalled(self.where, self._waits.frame_s) if self._is_stalled() else lost(error, self.where)

    def _is_stalled(self) -> bool:
        """FFmpeg's parts say many things where a read was ended because it took too long."""
        return time.monotonic() - self._last_s >= self._waits.frame_s

    def _nap(self) -> None:
        if self._is_stalled():
            self._ended = True
            raise stalled(self.where, self._waits.frame_s)
        time.sleep(_NAP_S)

    def _made(self, frame: VideoFrame) -> Frame:
        number, self._given = self._given, self._given + 1
        self._last_s = time.monotonic()
        if frame.is_corrupt:
            raise DataRejected(f"frame {number} is damaged", where=self.where, way_out=COPY_AGAIN)
        _check_size(frame.width, frame.height, self._limits, self.where)
        return Frame(_pixels(frame), number, self._time_s(frame))

    def _time_s(self, frame: VideoFrame) -> float | None:
        """Of what is live the clock of this machine: a camera's may stand, jump, or be made up by the demuxer."""
        if not self.live and frame.pts is None:
            return None
        now_s = time.monotonic() if self.live else float(frame.time)
        if self._began_s is None:
            self._began_s = now_s
        return now_s - self._began_s

    def close(self) -> None:
        """Let go of the file or the camera."""
        self._ended = True
        self._ready.clear()
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_video(source: Path | bytes, limits: Limits, where: str = "") -> Video:
    """Open a file, or the bytes of one.

    Args:
        source: a file is read piece by piece and may have any length; bytes are bounded by the limits.
        limits: most pixels a frame.
        where: what messages call it; the path, where it is not given.

    Raises:
        DataMissing: there is no such file.
        DataRejected: it is no video, broken, empty, or its frames are larger than the limit.
    """
    where = where or (str(source) if isinstance(source, Path) else "body")
    if isinstance(source, bytes) and len(source) > limits.bytes:
        raise DataRejected(
            f"the video is larger than {limits.bytes:,} bytes",
            where=where,
            way_out="Give a shorter video, or raise SIGHTLINE_MAX_BYTES.",
        )
    file = open_file(source, where) if isinstance(source, Path) else io.BytesIO(source)
    try:
        return _Opening(where, limits, Waits()).open_file(file)
    except SightlineError:
        file.close()
        raise


def open_camera(address: str, kind: Kind, limits: Limits, waits: Waits | None = None) -> Video:
    """Open a device or an address, within `waits.open_s`.

    Args:
        address: `/dev/video0`, or one of RTSP or HTTP.
        kind: of it, see `addresses.kind_of`.
        limits: most pixels a frame.
        waits: how long is waited.

    Raises:
        DataMissing: the camera says that there is no such stream.
        DataRejected: what comes is no video, or its frames are larger than the limit.
        BackendError: it cannot be reached, or does not answer.
    """
    opening = _Opening(shown(address), limits, waits or Waits())
    if kind == "device":
        return opening.open_device(address)
    check_resolves(address)
    return opening.open_address(address, kind)


@dataclass(frozen=True)
class _Opening:
    """What each way to open a video needs."""

    where: str
    limits: Limits
    waits: Waits

    def open_file(self, file: BinaryIO) -> Video:
        import av

        if not file.read(1):
            raise DataRejected("the file is empty", where=self.where, way_out=COPY_AGAIN)
        file.seek(0)
        try:
            container = av.open(file, "r", options={"format_whitelist": _FILE_FORMATS, "protocol_whitelist": "file"})
        except av.FFmpegError as error:
            raise no_video(error, self.where) from None
        return self._made(_Opened(container, file), live=False)

    def open_device(self, path: str) -> Video:
        import av

        try:
            container = av.open(path, "r", format="video4linux2", options={"fflags": "nonblock"})
        except av.FFmpegError as error:
            raise unreachable(error, self.where) from None
        return self._made(_Opened(container), live=True)

    def open_address(self, address: str, kind: Kind) -> Video:
        import av

        start_s, timeout = time.monotonic(), (self.waits.open_s, self.waits.frame_s)
        try:
            container = av.open(address, "r", options=_network_options(kind), timeout=timeout)
        except av.FFmpegError as error:  # its text has the address with the password: no cause is kept
            if time.monotonic() - start_s >= self.waits.open_s:
                raise silent(self.where, self.waits.open_s) from None
            if why := certificate_problem(address, self.waits.open_s):
                raise untrusted(why, self.where) from None
            raise unreachable(error, self.where) from None
        return self._made(_Opened(container), live=kind == "rtsp" or _goes_on(container))

    def _made(self, opened: _Opened, live: bool) -> Video:
        try:
            return Video(opened, self.where, self.limits, live, self.waits)
        except SightlineError:
            opened.close()
            raise


def _goes_on(container: InputContainer) -> bool:
    """Whether what comes over HTTP has no end that is known: a camera, not a file."""
    return container.duration is None


def _network_options(kind: Kind) -> dict[str, str]:
    options = {"format_whitelist": _NETWORK_FORMATS, "protocol_whitelist": _PROTOCOLS[kind], "tls_verify": "1"}
    authorities = ssl.get_default_verify_paths().cafile
    if authorities:
        options["ca_file"] = authorities
    if kind == "rtsp":
        options["rtsp_transport"] = "tcp"  # over UDP lost packets become smears that look like findings
    return options


# -------------------------------------------------------------------------------------------------- one frame


def _pixels(frame: VideoFrame) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The frame as it is shown: RGB, or the counts of a grey camera of more than 8 bits."""
    name = frame.format.name
    counts = name.startswith("gray") and name not in ("gray", "grayf32le", "grayf32be")
    values = frame.to_ndarray() if counts else frame.to_ndarray(format="rgb24")
    turned = np.ascontiguousarray(np.rot90(values, round(frame.rotation / 90) % 4))
    return cast("NDArray[np.uint8] | NDArray[np.uint16]", turned)


def _video_stream(container: InputContainer, where: str) -> VideoStream:
    """The first one with a decoder. Raises DataRejected where there is none."""
    stream = next((one for one in container.streams.video if one.codec_context is not None), None)
    if stream is None:
        raise DataRejected(NO_VIDEO, where=where, way_out="Give a video: MP4, MKV, AVI, MJPEG or RTSP.")
    return stream


def _counted(stream: VideoStream, container: InputContainer) -> int | None:
    """By its length and rate, where the head does not say."""
    if container.duration is None or not stream.average_rate:
        return None
    return max(round(container.duration / 10**6 * float(stream.average_rate)), 1)


def _rounded_up(width: int, height: int, limits: Limits) -> int:
    """Decoders work on whole blocks: a frame just within the limit has more pixels to them."""
    blocks = (width + 128) * (height + 128)
    return max(limits.pixels, blocks)


def _check_size(width: int, height: int, limits: Limits, where: str) -> None:
    if width <= 0 or height <= 0:
        raise DataRejected(NO_VIDEO, where=where, way_out=COPY_AGAIN)
    if width * height > limits.pixels:
        raise DataRejected(
            f"frames of {width:,} x {height:,} pixels are more than {limits.pixels:,}",
            where=where,
            way_out="Give a smaller video, or raise SIGHTLINE_MAX_PIXELS.",
        )
