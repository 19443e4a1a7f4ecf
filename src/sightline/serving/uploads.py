"""The image of a request: its body as it is, or the field `image` of a form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from sightline.capabilities import FOLDER
from sightline.errors import RequestError
from sightline.task import Card

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MOST_PARTS, _MOST_LINES, _MOST_LINE_BYTES = 16, 8, 4096  # of a form; lines in the head of a part
_EXTENDED_NAME = re.compile(rb";\s*filename\*=utf-8'[^';]*'([^;\s]*)", re.IGNORECASE)
_ALIASES = {"image/jpg": "image/jpeg", "image/tif": "image/tiff", "image/pjpeg": "image/jpeg"}
_UNTOLD = ("", "application/octet-stream")  # the bytes decide


@dataclass(frozen=True)
class Upload:
    """The bytes of an image, and the name its file had; empty where it had none."""

    content: bytes
    name: str = ""


def media_types(card: Card) -> tuple[str, ...]:
    """What a model reads that can be sent: all but a folder."""
    return tuple(one for one in card.formats if one != FOLDER)


async def read_upload(request: Request, formats: tuple[str, ...], max_bytes: int) -> Upload:
    """Take the image out of a request.

    Args:
        request: its body has been limited by the guard.
        formats: media types that the model reads.
        max_bytes: largest image.

    Raises:
        RequestError: 400 for a broken form, 413, 415 for a media type that is not taken, 422 without an image.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        # 32 MB take the parser 20 ms, whatever is in them: no thread is needed.
        upload = _form_image(request.headers["content-type"], await request.body())
    elif _ALIASES.get(kind, kind) in (*_UNTOLD, *formats):
        upload = Upload(await request.body(), _file_name(request.query_params.get("source", "")))
    else:
        raise RequestError(
            f"the media type {kind[:100]!r} is not taken",
            where="Content-Type",
            way_out=f"Send one of {', '.join(formats)}, or a form with the file in the field `image`.",
            status=415,
        )
    if not upload.content:
        raise RequestError(
            "there is no image in the request", where="body", way_out="Send the file's bytes.", status=422
        )
    if len(upload.content) > max_bytes:
        raise RequestError(
            f"the image is larger than {max_bytes} bytes", where="image", way_out="Send a smaller file.", status=413
        )
    return upload


class _Form:
    """The callbacks of the parser: keeps the files in the field `image` and forgets the rest as it comes."""

    def __init__(self) -> None:
        self.images: list[Upload] = []
        self.whole = False
        self._parts = 0
        self._name, self._value = bytearray(), bytearray()
        self._disposition = b""
        self._file_name: str | None = None
        self._content: list[bytes] = []

    def on_part_begin(self) -> None:
        """A part begins: nothing is known of it."""
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise _broken(f"it has more than {_MOST_PARTS} fields")
        self._disposition, self._file_name, self._content = b"", None, []

    def on_header_begin(self) -> None:
        """A line of a part's head begins."""
        self._name, self._value = bytearray(), bytearray()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        """More of the line's name."""
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        """More of the line's value."""
        self._value += data[start:end]

    def on_header_end(self) -> None:
        """A line of a part's head is whole."""
        if self._name.lower() == b"content-disposition":
            self._disposition = bytes(self._value)

    def on_headers_finished(self) -> None:
        """The head is whole: is it the image?"""
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") != b"image":
            return
        # RFC 7578 forbids `filename*`, but some clients send nothing else where a name is not ASCII.
        extended = _EXTENDED_NAME.search(self._disposition)
        if b"filename" in options:
            self._file_name = options[b"filename"].decode("utf-8", "replace")
        elif extended:
            self._file_name = unquote(extended[1].decode("latin-1"), "utf-8", "replace")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """More of a part's content."""
        if self._file_name is not None:
            self._content.append(data[start:end])

    def on_part_end(self) -> None:
        """A part is whole."""
        if self._file_name is not None:
            self.images.append(Upload(b"".join(self._content), _file_name(self._file_name)))

    def on_end(self) -> None:
        """The last boundary was there."""
        self.whole = True

    def callbacks(self) -> MultipartCallbacks:
        """As the parser wants them."""
        names = [name for name in dir(self) if name.startswith("on_")]
        return cast("MultipartCallbacks", {name: getattr(self, name) for name in names})


def _form_image(content_type: str, body: bytes) -> Upload:
    """The file in the field `image` of a form (RFC 7578). The body is in memory anyway, so no file is spooled."""
    if len(content_type) > _MOST_LINE_BYTES:
        raise _broken(f"its media type is longer than {_MOST_LINE_BYTES} characters")
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise _broken("its media type names no boundary")
    form = _Form()
    try:
        parser = MultipartParser(
            boundary, form.callbacks(), max_header_count=_MOST_LINES, max_header_size=_MOST_LINE_BYTES
        )
        parser.write(body)
    except FormParserError as error:
        raise _broken(str(error)) from error
    if not form.whole:
        raise _broken("it is cut off")
    if len(form.images) != 1:
        raise RequestError(
            f"the form has {len(form.images)} files `image`",
            where="image",
            way_out="Send one: curl -F image=@FILE.",
            status=422,
        )
    return form.images[0]


def _broken(why: str) -> RequestError:
    return RequestError(f"the form cannot be read: {why}", where="body", way_out="Send it: curl -F image=@FILE.")


def _file_name(given: str) -> str:
    """The last part of a name, printable, 200 characters at most: it is shown to people."""
    name = PurePosixPath(given.replace("\\", "/")).name
    return "".join(c for c in name if c.isprintable())[:200]
