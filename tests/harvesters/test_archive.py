from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path

import pytest
from fetch_client import read_body
from warcio.archiveiterator import ArchiveIterator

from harvesters.archive import Archive, archive_faults
from harvesters.errors import ArchiveError

HEADERS = [("Content-Type", "application/json"), ("Content-Encoding", "gzip"), ("ETag", '"v1"')]


def test_the_file_is_a_warc_that_others_read(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "s", "s.1")
    archive.write_response("https://registry.example/1", 503, HEADERS, b"come again")
    archive.close()

    with (tmp_path / "s" / "s.1.warc.gz").open("rb") as file:
        (record,) = [
            (
                item.rec_type,
                item.rec_headers["WARC-Target-URI"],
                item.http_headers.get_statuscode(),
                item.http_headers.get_header("ETag"),
            )
            for item in ArchiveIterator(file)
        ]

    assert record == ("response", "https://registry.example/1", "503", '"v1"')


def test_a_resumed_run_is_answered_by_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "s", "s.1")
    archive.write_response("https://registry.example/robots.txt", 404, HEADERS, b"")
    archive.write_response("https://registry.example/1", 200, HEADERS, b"staged")
    checkpoint = archive.length
    archive.write_response("https://registry.example/2", 503, HEADERS, b"come again")
    second = archive.write_response("https://registry.example/2", 200, HEADERS, b"two")
    archive.close()
    path = tmp_path / archive.name
    whole = path.read_bytes()
    # A kill while a response is written leaves a part of it.
    path.write_bytes(whole + whole[: checkpoint // 2])

    resumed = Archive(tmp_path, "s", "s.1", checkpoint)
    robots, again, *unknown = (
        resumed.find(f"https://registry.example/{name}")
        for name in ("robots.txt", "2", "1", "2", "3")
    )
    at = resumed.write_response("https://registry.example/3", 200, HEADERS, b"three")
    resumed.close()

    assert robots
    assert again
    assert (robots.is_new, again.is_new) == (False, True)
    assert again.position == second
    assert again.open().read() == b"two"
    assert unknown == [None, None, None]
    assert (at.offset, read_body(tmp_path, at)) == (len(whole), b"three")


def test_a_file_is_given_back_byte_for_byte_among_other_replies(tmp_path: Path) -> None:
    body, three = tmp_path / "body", b"three \x00\xff"
    body.write_bytes(bytes(range(256)) * 5000)
    archive = Archive(tmp_path, "s", "s.1")
    archive.write_response("https://registry.example/1", 200, HEADERS, b"one")
    at = archive.write_response("https://registry.example/2", 200, HEADERS, body)
    after = archive.write_response("https://registry.example/3", 200, HEADERS, three)
    archive.close()

    assert read_body(tmp_path, at) == body.read_bytes()
    assert (after.offset, read_body(tmp_path, after)) == (at.offset + at.length, three)


def test_a_response_that_the_disk_had_no_room_for_leaves_no_damaged_file(tmp_path: Path) -> None:
    """Every later check would report what is left of the response as damage."""
    archive = Archive(tmp_path, "s", "s.1")
    archive.write_response("https://x.example/1", 200, [], b"one")
    before = archive.length
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (before + 50, limits[1]))
    try:
        with pytest.raises(ArchiveError, match="free disk space"):
            archive.write_response("https://x.example/2", 200, [], os.urandom(5_000))
        # Closing the archive may try to write the rest again.
        with suppress(ArchiveError):
            archive.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert (tmp_path / "s" / "s.1.warc.gz").stat().st_size == before
    assert list(archive_faults(tmp_path)) == []
