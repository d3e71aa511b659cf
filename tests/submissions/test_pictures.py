from __future__ import annotations

import io
import random
import struct
import zlib
from base64 import b64decode
from datetime import timedelta
from hashlib import sha256
from typing import Any

import httpx
import pytest
from PIL import Image
from rows import each

from harvesters.ledger.submissions import find_picture, has_picture, prune_pictures
from harvesters.participation.api import MAX_UNUSED
from harvesters.participation.uploads import MAX_PICTURE, SIDE, encode_picture, encode_webp
from harvesters.site import InvalidValue, RequestRefused, TooLarge
from vocab.iris import BASE

from .conftest import INITIATIVE, SubmissionWorld, change, codes, hidden, submitted
from .test_submission_form import fill

ANYBODY = {"Authorization": ""}
SECRET = b"GPS 1.2921 S, Jane Doe"
SCRIPT = b"<script>alert(document.domain)</script>"


def picture(
    size: tuple[int, int] = (80, 60), form: str = "JPEG", colour: str = "#2266aa", **options: object
) -> bytes:
    output = io.BytesIO()
    Image.new("RGB", size, colour).save(output, form, **options)
    return output.getvalue()


def with_exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = orientation, SECRET.decode()
    return picture(exif=exif, comment=SECRET)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(bytes(1000)))
        + png_chunk(b"IEND", b"")
    )


HOSTILE = {
    "html named png": b"<!doctype html>" + SCRIPT, "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><rect/></svg>',
    "empty": b"", "truncated": picture(form="PNG", size=(300, 300))[:120], "bmp": picture(form="BMP"), "tiff": picture(form="TIFF"),
    "zip": b"PK\x03\x04" + bytes(200), "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "text bomb": picture(form="PNG")[:33] + png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000), 1)) + picture(form="PNG")[33:],
}  # fmt: skip


def named(id: str, caption: str = "Computers") -> dict[str, Any]:
    return {**INITIATIVE, "picture": {"id": id, "caption": {"en": caption}}}


def short(id: str) -> str:
    return id.rpartition("/")[2]


@each("name", HOSTILE)
def test_what_is_no_picture_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match="The picture cannot be read"):
        encode_picture(HOSTILE[name])


@each(
    "content",
    [png_bomb(60_000, 60_000), png_bomb(6_000, 6_000), png_bomb(20_000, 1), bytes(MAX_PICTURE + 1)],
)
def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded(content: bytes) -> None:
    with pytest.raises(TooLarge):
        encode_picture(content)


@each("form", ["JPEG", "PNG", "WEBP", "GIF"])
def test_only_the_pixels_of_a_polyglot_are_kept(form: str) -> None:
    content = picture(form=form) + SCRIPT + b"PK\x03\x04"

    encoded = encode_picture(content)

    assert encoded.content[:4] + encoded.content[8:12] == b"RIFFWEBP"
    assert SCRIPT not in encoded.content
    assert encoded.name == f"{sha256(encoded.content).hexdigest()}.webp"
    assert (encoded.width, encoded.height) == (80, 60)


def test_metadata_are_removed_and_the_picture_is_upright() -> None:
    content = with_exif(6)

    encoded = encode_picture(content)
    decoded = Image.open(io.BytesIO(encoded.content))

    assert SECRET in content
    assert SECRET not in encoded.content
    assert decoded.size == (60, 80)
    assert not decoded.getexif()
    assert not {"exif", "icc_profile", "xmp", "comment"} & {*decoded.info}


@each("mode", ["RGBA", "P", "L", "LA", "1", "CMYK", "I;16"])
def test_every_kind_of_pixels_is_read_and_made_smaller(mode: str) -> None:
    output = io.BytesIO()
    Image.new(mode, (SIDE * 2, 200)).save(output, "JPEG" if mode == "CMYK" else "PNG")

    encoded = encode_picture(output.getvalue())

    assert (encoded.width, encoded.height) == (SIDE, 100)


@each("form", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_damaged_file_is_read_or_refused(form: str) -> None:
    chance, content = random.Random(4), picture(form=form, size=(120, 90))
    outcomes = set()

    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 6)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        end = chance.choice((len(damaged), chance.randrange(len(damaged))))
        try:
            encode_webp(bytes(damaged[:end]))
            outcomes.add("read")
        except RequestRefused:
            outcomes.add("refused")

    assert outcomes == {"read", "refused"}


async def send(
    client: httpx.AsyncClient, content: bytes | None = None, media: str = "image/jpeg"
) -> httpx.Response:
    return await client.post(
        "/submissions/pictures",
        content=picture() if content is None else content,
        headers={"Content-Type": media},
    )


async def test_a_picture_is_public_with_its_record_and_deleted_with_it(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    accepted, caption = (await send(client)).json(), "A telecentre with six computers"
    name = short(accepted["id"])
    created = await submitted(client, named(accepted["id"], caption))
    before = await client.get(f"/picture/{name}", headers=ANYBODY)
    world.accept(created["id"])
    response = await client.get(f"/picture/{name}", headers=ANYBODY)
    statements = world.published_statements()
    export = (await client.get("/submissions/account")).json()
    withdrawn = await change(client, created["id"], None)
    after = await client.get(f"/picture/{name}", headers=ANYBODY)

    size = {"width": 80, "height": 60, "bytes": len(response.content)}
    assert accepted == {"id": f"{BASE}picture/{name}", **size}
    assert created["content"]["picture"] == {"id": name, "caption": {"en": caption}}
    assert codes(before, response, withdrawn, after) == [404, 200, 200, 404]
    assert f"{sha256(response.content).hexdigest()}.webp" == name
    assert b64decode(export["pictures"][name]) == response.content
    thing, address = f"<{BASE}id/initiative/submissions/{created['id']}>", f"<{accepted['id']}>"
    assert f"{thing} <https://schema.org/image> {address}" in statements
    assert f'{address} <https://schema.org/caption> "{caption}"@en' in statements
    assert not has_picture(world.ledger, name)
    assert response.headers["Content-Type"] == "image/webp"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


async def test_turtle_and_published_json_name_a_picture(client: httpx.AsyncClient) -> None:
    id = (await send(client)).json()["id"]
    turtle = f"""@prefix dct: <http://purl.org/dc/terms/> . @prefix schema: <https://schema.org/> .
<#it> a <{BASE}ns#Initiative> ; dct:title "Clinic"@en ; schema:image <{id}> . <{id}> schema:caption "A clinic"@en ."""
    about = {"id": id, "type": "Picture", "caption": {"en": "A clinic"}}
    published = {"type": "Initiative", "title": {"en": "Clinic"}, "picture": about}
    how: dict[str, Any] = {"content": turtle, "headers": {"Content-Type": "text/turtle"}}

    answers = [
        await client.post("/submissions/check", **how),
        await client.post("/submissions/check", json=published),
    ]

    pictures = [answer.json()["content"]["picture"] for answer in answers]
    assert pictures == [{"id": short(id), "caption": {"en": "A clinic"}}] * 2


@each(
    "about, message",
    [({"id": f"{'0' * 64}.webp", "caption": {"en": "x"}}, "There is no such picture"),
     ({"id": "https://elsewhere.example/a.png", "caption": {"en": "x"}}, "Send the picture first"),
     ("javascript:alert(1)", "Send the picture first"), ([{"id": "a"}, {"id": "b"}], "There can be only one"),
     ("stored", "Say what the picture shows")],
)  # fmt: skip
async def test_a_record_names_a_stored_picture_with_its_text(
    client: httpx.AsyncClient, about: object, message: str
) -> None:
    picture = (await send(client)).json()["id"] if about == "stored" else about

    answer = await client.post("/submissions", json={**INITIATIVE, "picture": picture})

    (result,) = [each for each in answer.json()["results"] if each["member"] == "picture"]
    assert (answer.status_code, message in result["message"]) == (422, True)


async def test_files_that_are_no_pictures_are_refused_by_http(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "image/jpeg", **ANYBODY}
    answers = [
        await send(client, HOSTILE["html named png"], "image/png"),
        await send(client, HOSTILE["svg"], "image/svg+xml"),
        await send(client, png_bomb(60_000, 60_000), "image/png"),
        await send(client, bytes(MAX_PICTURE + 1)),
        await client.post("/submissions/pictures", content=picture(), headers=headers),
    ]

    assert [answer.status_code for answer in answers] == [422, 415, 413, 413, 401]
    reason = "The picture cannot be read. Send a JPEG, PNG, WebP or GIF file."
    assert answers[0].json()["detail"] == reason


async def test_pictures_that_no_record_names_are_few_and_deleted_after_a_day(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    pictures = [picture(size=(80, 60 + number)) for number in range(MAX_UNUSED + 1)]
    answers = [await send(client, content) for content in pictures]
    ids = [answer.json()["id"] for answer in answers[:-1]]
    await client.post("/submissions", json=named(ids[0]))
    prune_pictures(world.ledger, world.clock.now() + timedelta(days=1))

    assert [answer.status_code for answer in answers] == [201] * MAX_UNUSED + [422]
    present = [has_picture(world.ledger, short(id)) for id in ids]
    assert present == [True] + [False] * (MAX_UNUSED - 1)


async def test_a_picture_is_kept_while_it_is_published_and_deleted_when_a_change_without_it_is_accepted(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    id = (await send(client)).json()["id"]
    key = (await submitted(client, named(id)))["id"]
    world.accept(key)
    changed = await change(client, key, INITIATIVE)
    while_it_waits = await client.get(f"/picture/{short(id)}", headers=ANYBODY)
    world.accept(key)

    assert codes(changed, while_it_waits) == [200, 200]
    assert not has_picture(world.ledger, short(id))


async def answer_picture(
    browser: httpx.AsyncClient, link: str, content: bytes | None, caption: str = "", **fields: str
) -> httpx.Response:
    page = await browser.get(f"{link}/picture")
    file = ("photo.png", content, "image/png") if content else ("", b"", "application/octet-stream")
    fields |= {"picture-caption": caption} if caption else {}
    data = {"was": hidden(page, "was"), "seen": "", **fields}
    return await browser.post(f"{link}/picture", data=data, files={"file": file})


async def test_a_picture_is_sent_by_form_shown_replaced_and_removed(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    link = (await fill(browser)).url.path.removesuffix("/summary")
    refused = await answer_picture(browser, link, HOSTILE["html named png"], "A telecentre")
    silent = await answer_picture(browser, link, picture())
    first = stored_name(await browser.get(f"{link}/picture.webp"))
    titled = await answer_picture(browser, link, None, "A telecentre")
    summary = await browser.get(f"{link}/summary")
    replaced = await answer_picture(browser, link, picture(colour="red"), "A telecentre")
    second = stored_name(await browser.get(f"{link}/picture.webp"))
    left = has_picture(world.ledger, first)
    removed = await answer_picture(
        browser, link, None, "A telecentre", remove="yes", then="summary"
    )
    gone = await browser.get(f"{link}/picture.webp")

    pages = (refused, silent, titled, replaced, removed, gone)
    assert [page.status_code for page in pages] == [422, 422, 200, 200, 200, 404]
    fault = '<p class="fault" id="picture{}-fault" role="alert">{}'
    assert fault.format("", "The picture cannot be read") in refused.text
    assert fault.format("-caption", "Say what the picture shows") in silent.text
    assert titled.url.path == f"{link}/links"
    assert f'src="{link}/picture.webp" alt="A telecentre"' in summary.text
    assert first != second
    assert (left, has_picture(world.ledger, second)) == (False, False)


def stored_name(answer: httpx.Response) -> str:
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    return f"{sha256(answer.content).hexdigest()}.webp"


async def test_the_submitter_and_moderators_alone_see_a_picture_that_waits(
    world: SubmissionWorld, browser: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    link = (await fill(browser)).url.path.removesuffix("/summary")
    await answer_picture(browser, link, picture(), "A telecentre")
    world.clock.advance(timedelta(minutes=1))
    await browser.post(f"{link}/summary", data={"mail": "jane@example.org", "website": ""})
    mine = await browser.post(world.link())
    own = await browser.get(f"{mine.url.path}/picture.webp")
    name = stored_name(own)
    of_draft = await browser.get(f"{link}/picture.webp")
    anybody = await client.get(f"{mine.url.path}/picture.webp", headers=ANYBODY)
    public = await client.get(f"/picture/{name}")
    sure = {"csrf": hidden(mine), "sure": "yes"}
    deleted = await browser.post("/submit/mine/delete", data=sure)

    assert f'src="{mine.url.path}/picture.webp" alt="A telecentre"' in mine.text
    assert codes(own, of_draft, anybody, public, deleted) == [200, 410, 401, 404, 200]
    assert find_picture(world.ledger, name) is None


async def test_a_row_of_a_table_names_a_picture_that_was_sent_and_no_other_address(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    id = (await send(client)).json()["id"]
    rows = [
        (id, "A room", []), ("https://other.example/picture.png", "A room", ["picture"]), (id, "", ["picture"]),
        ("http://169.254.169.254/latest/meta-data", "A room", ["picture"]),
        (f"{BASE}picture/{'0' * 64}.webp", "A room", ["picture"]), ("", "A room", []),
    ]  # fmt: skip
    lines = ["type,title@en,publisher.name,start,picture.id,picture.caption@en"]
    lines += [
        f"Initiative,Centre {number},Ministry,2025-01-01,{address},{caption}"
        for number, (address, caption, _) in enumerate(rows)
    ]

    content, headers = "\r\n".join(lines).encode(), {"Content-Type": "text/csv"}
    answer = await client.post("/submissions/upload", content=content, headers=headers)

    results = answer.json()["rows"]
    for row, (*_, faults) in zip(results, rows, strict=True):
        violated = [item["member"] for item in row["results"] if item["severity"] == "Violation"]
        assert (row["outcome"], violated) == ("refused" if faults else "accepted", faults)
    stored = world.stored(results[0]["id"])
    assert stored.content["picture"] == {"id": short(id), "caption": {"en": "A room"}}
