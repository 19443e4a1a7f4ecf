"""The image of a request: its body as it is, or the field `image` of a form."""

from __future__ import annotations

from dataclasses import dataclass
from email.parser import BytesHeaderParser
from pathlib import PurePosixPath

from starlette.requests import Request

from sightline.errors import RequestError

_MOST_PARTS = 16
_ALIASES = {"image/jpg": "image/jpeg", "image/tif": "image/tiff", "image/pjpeg": "image/jpeg"}
_UNTOLD = ("", "application/octet-stream")  # the bytes decide
_parse_head = BytesHeaderParser().parsebytes


@dataclass(frozen=True)
class Upload:
    """The bytes of an image, and the name its file had; empty where it had none."""

    content: bytes
    name: str = ""


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


def _form_image(content_type: str, body: bytes) -> Upload:
    """The file in the field `image` of a form (RFC 7578). The body is in memory anyway, so no file is spooled."""
    boundary = _parse_head(f"Content-Type: {content_type}".encode("latin-1", "replace")).get_boundary("")
    if not boundary:
        raise _broken("its media type names no boundary")
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1", "replace"), _MOST_PARTS)
    if not parts or not parts[-1].startswith(b"--"):
        raise _broken(f"it is cut off, or has more than {_MOST_PARTS} fields")
    images = [image for part in parts[:-1] if (image := _image_of(part)) is not None]
    if len(images) != 1:
        raise RequestError(
            f"the form has {len(images)} files `image`",
            where="image",
            way_out="Send one: curl -F image=@FILE.",
            status=422,
        )
    return images[0]


def _image_of(part: bytes) -> Upload | None:
    """A part of a form, if it is the file `image`."""
    head, separator, content = part.partition(b"\r\n\r\n")
    if not separator:
        raise _broken("a field has no content")
    headers = _parse_head(head.lstrip())
    name = headers.get_param("name", header="content-disposition")
    file_name = headers.get_filename()
    return Upload(content, _file_name(file_name)) if name == "image" and file_name is not None else None


def _broken(why: str) -> RequestError:
    return RequestError(f"the form cannot be read: {why}", where="body", way_out="Send it: curl -F image=@FILE.")


def _file_name(given: str) -> str:
    """The last part of a name, printable, 200 characters at most: it is shown to people."""
    name = PurePosixPath(given.replace("\\", "/")).name
    return "".join(c for c in name if c.isprintable())[:200]
