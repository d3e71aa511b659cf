"""Pack a static edition into one file for Kiwix.

Source: https://wiki.openzim.org/wiki/ZIM_file_format, https://wiki.openzim.org/wiki/Metadata.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typst
from libzim.writer import Creator, FileProvider, Hint, Item

from languages.translations import gettext as _
from languages.translations import use_language
from publisher.editions.site import Edition
from publisher.pages import PACKAGE_FOLDER

# Media types by suffix; those of a system differ.
_MEDIA = {
    "css": "text/css", "csv": "text/csv", "html": "text/html", "js": "text/javascript", "json": "application/json", "svg": "image/svg+xml",
    "ttl": "text/turtle", "txt": "text/plain", "pdf": "application/pdf", "gz": "application/gzip", "png": "image/png",
}  # fmt: skip
_OTHER = "application/octet-stream"
_ISO_639_3 = {"en": "eng", "ar": "ara", "zh": "zho", "fr": "fra", "ru": "rus", "es": "spa"}
_TITLE = re.compile(r"<title>([^<]*)</title>")
_ICON = 48  # pixels: the size that readers require
_POINTS = 72  # in an inch: a point is a pixel
_TITLE_LENGTH, _DESCRIPTION_LENGTH = 30, 80  # characters, which readers require at most


class _Page(Item):  # type: ignore[misc]
    def __init__(self, folder: Path, file: Path) -> None:
        super().__init__()
        self._path, self._file = file.relative_to(folder).as_posix(), file
        self._media = _MEDIA.get(file.suffix[1:], _OTHER)

    def get_path(self) -> str:
        return self._path

    def get_title(self) -> str:
        if self._media != "text/html":
            return ""
        match = _TITLE.search(self._file.read_text(encoding="utf-8"))
        return match.group(1).strip() if match else ""

    def get_mimetype(self) -> str:
        return self._media

    def get_contentprovider(self) -> FileProvider:
        return FileProvider(self._file)

    def get_hints(self) -> dict[Any, Any]:
        """Pages are suggested to readers who type their titles."""
        return {Hint.FRONT_ARTICLE: self._media == "text/html"}


def write_zim(edition: Edition, folder: Path, path: Path) -> int:
    """Pack the static edition in *folder* into the file *path*, and return how many entries it has."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    first = edition.languages[0]
    creator = Creator(str(part))
    creator.config_indexing(True, _ISO_639_3[first]).set_mainpath(f"{first}/index.html")
    with creator:
        for file in files:
            creator.add_item(_Page(folder, file))
        creator.add_illustration(_ICON, _icon())
        for name, value in _metadata(edition).items():
            creator.add_metadata(name, value)
    part.replace(path)
    return len(files)


def _metadata(edition: Edition) -> dict[str, str]:
    """Return what readers show: https://wiki.openzim.org/wiki/Metadata."""
    release, languages = edition.release, edition.languages
    with use_language(languages[0]):
        title = edition.branding.name[:_TITLE_LENGTH]
        description = _(
            "Initiatives for the information society, gathered from public registries and published as linked data."
        )
    return {
        "Name": f"stocktake_{languages[0] if len(languages) == 1 else 'mul'}_release-{release.number}",
        "Title": title,
        "Description": textwrap.shorten(description, _DESCRIPTION_LENGTH, placeholder="…"),
        "LongDescription": description,
        # The index has one language: kiwix-serve does not search a file of several.
        "Language": _ISO_639_3[languages[0]],
        "Date": release.day,
        "Creator": edition.branding.name,
        "Publisher": edition.branding.name,
        "License": ", ".join(
            sorted({source.licence for source in release.sources if source.licence})
        )
        or "unknown",
        "Source": release.iri,
        "Scraper": f"stocktake {version('stocktake')}",
        "Tags": "WSIS;SDG;_ftindex:yes",
    }


def _icon() -> bytes:
    page = f'#set page(width: {_ICON}pt, height: {_ICON}pt, margin: 0pt)\n#image("icon.svg", width: 100%)'
    with TemporaryDirectory(prefix="stocktake-zim-") as folder:
        shutil.copyfile(PACKAGE_FOLDER / "static" / "icon.svg", Path(folder) / "icon.svg")
        (Path(folder) / "icon.typ").write_text(page)
        return typst.compile(Path(folder) / "icon.typ", format="png", ppi=_POINTS)
