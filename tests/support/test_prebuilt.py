"""A prebuilt folder is made once for each digest, and again where it is broken."""

from __future__ import annotations

from pathlib import Path

from prebuilt import SUMS, copy_kept, digest_of


class Kept:
    """A place with a prebuilt folder, how often it was made, and the messages."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.messages, self.count = folder, list[str](), 0

    def make(self, folder: Path) -> None:
        self.count += 1
        (folder / "store").mkdir()
        (folder / "store" / "file").write_text("whole")

    def copy(self, digest: str = "a") -> Path:
        target = self.folder / f"copy-{len([*self.folder.iterdir()])}"
        return copy_kept(self.folder / "kept", digest, self.make, target, self.messages.append)


def test_a_folder_is_made_once_for_each_digest(tmp_path: Path) -> None:
    keeper = Kept(tmp_path)

    copies = [keeper.copy(), keeper.copy()]
    (copies[0] / "store" / "file").write_text("changed by a test")
    others = [keeper.copy(), keeper.copy("b"), keeper.copy("b")]

    assert [(copy / "store" / "file").read_text() for copy in others] == ["whole"] * 3
    assert (keeper.count, keeper.messages) == (2, [])
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"b", "lock"}


def test_a_broken_folder_is_made_again_with_a_message(tmp_path: Path) -> None:
    keeper = Kept(tmp_path)
    keeper.copy()
    for name in ("store/file", SUMS):
        (tmp_path / "kept" / "a" / name).write_text("")

        copy = keeper.copy()

        assert (copy / "store" / "file").read_text() == "whole"
        assert f"{tmp_path}/kept/a is broken ({name}); it is made again" in keeper.messages
    assert keeper.count == 3


def test_a_run_that_was_killed_while_it_made_the_folder_leaves_no_half(tmp_path: Path) -> None:
    keeper = Kept(tmp_path)
    (tmp_path / "kept" / "part" / "half").mkdir(parents=True)

    copy = keeper.copy()

    assert [path.name for path in copy.iterdir()] == ["store"]


def test_the_digest_is_that_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("one")
    first = digest_of([tmp_path])
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "code.pyc").write_text("compiled")

    same = digest_of([tmp_path])
    (tmp_path / "code.py").write_text("two")

    assert first == same != digest_of([tmp_path])
