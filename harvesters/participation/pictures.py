"""Re-encode the pictures that people send: only their pixels are stored, in one format and up to
one size.
"""

from __future__ import annotations

import math
import struct
import warnings
import zlib
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from threading import Lock

from PIL import Image, ImageOps
from starlette.responses import Response

from harvesters.ledger.participation import Picture
from harvesters.pipeline.processes import UPLOAD_LIMITS, BoundedCallError, call_bounded
from harvesters.problems import InvalidValue, NotFound, TooLarge

MEDIA_TYPES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
ENCODED = "image/webp"
MAX_FILE = 10 * 1024 * 1024  # bytes
MAX_PIXELS = 25_000_000
MAX_SIDE = 10_000  # pixels
SIDE = 1_600  # largest width and height of a stored picture
_QUALITY = 82
# A browser that takes a picture for something else must not run it.
_POLICY = {"Content-Security-Policy": "default-src 'none'; sandbox"}
_DECODING = Lock()  # one picture at a time: a large one takes 500 MB
_UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    EOFError,
    LookupError,
    ArithmeticError,
    struct.error,
    zlib.error,
)


def encode_picture(content: bytes) -> Picture:
    """Return the first picture of a file as WebP, upright, without metadata, and at most SIDE
    pixels wide and high; a child process decodes it.

    Its name is the SHA-256 of the stored bytes. Raises TooLarge for a file with too many bytes or
    pixels, InvalidValue for one that is damaged or not a JPEG, PNG, WebP or GIF.
    """
    if len(content) > MAX_FILE:
        raise TooLarge(
            "The picture has %(count)s bytes; at most %(limit)s are possible.",
            count=len(content),
            limit=MAX_FILE,
        )
    try:
        with _DECODING:
            return call_bounded(encode_webp, content, limits=UPLOAD_LIMITS)
    except BoundedCallError as error:
        raise _unreadable() from error


def encode_webp(content: bytes) -> Picture:
    """Decode a picture in this process, and encode it as ``encode_picture`` says."""
    output = BytesIO()
    try:
        with warnings.catch_warnings():
            # The size is checked below, before any pixel is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            source = Image.open(BytesIO(content), formats=tuple(MEDIA_TYPES.values()))
            if math.prod(source.size) > MAX_PIXELS or max(source.size) > MAX_SIDE:
                raise Image.DecompressionBombError
            source.draft("RGB", (SIDE, SIDE))  # a large JPEG is decoded smaller
            upright = ImageOps.exif_transpose(source)
            pixels = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
            pixels.thumbnail((SIDE, SIDE))
            bare = Image.new(pixels.mode, pixels.size)  # has no profile, comment or position
            bare.paste(pixels)
            bare.save(output, "WEBP", quality=_QUALITY)
    except Image.DecompressionBombError as error:
        raise TooLarge(
            "The picture has too many pixels. Make it smaller: at most %(count)s are possible.",
            count=MAX_PIXELS,
        ) from error
    except _UNREADABLE as error:
        raise _unreadable() from error
    encoded = output.getvalue()
    return Picture(f"{sha256(encoded).hexdigest()}.webp", encoded, *bare.size)


def picture_response(picture: Picture | None, headers: Mapping[str, str] | None = None) -> Response:
    """Return a picture that browsers show and never run; raise NotFound if there is none."""
    if picture is None:
        raise NotFound("There is no picture at this address.")
    return Response(
        picture.content,
        media_type=ENCODED,
        headers={**_POLICY, "Content-Disposition": "inline", **(headers or {})},
    )


def _unreadable() -> InvalidValue:
    return InvalidValue("The picture cannot be read. Send a JPEG, PNG, WebP or GIF file.")
