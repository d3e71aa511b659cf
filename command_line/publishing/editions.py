"""Define the commands `export`: editions of a release that need no server."""

from __future__ import annotations

import asyncio
import shutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from command_line.console import err, fail, print_note
from command_line.settings import Context, Settings
from languages.request_locale import LANGUAGES
from vocab.iris import Iris
from web.branding import NO_CONTACT, Branding

if TYPE_CHECKING:
    from publisher.editions.site import Edition, ExportResult

_SITE = "publisher.editions.site"  # imported late, since it imports all pages
app = typer.Typer(
    no_args_is_help=True,
    help="Write a release for use without a server: a static site, or a file for Kiwix.",
)
ALL_LANGUAGES = ",".join(LANGUAGES)

ReleaseNumber = Annotated[
    int | None,
    typer.Argument(metavar="[RELEASE]", help="Release number (default: the newest).", min=1),
]
Languages = Annotated[
    str,
    typer.Option(
        "--languages",
        help="Languages of the pages, separated by commas; the first one opens first.",
    ),
]


@app.command()
def site(
    context: Context,
    release: ReleaseNumber = None,
    output: Annotated[
        Path,
        typer.Option(
            help="Folder to write: empty, or with an interrupted export.", file_okay=False
        ),
    ] = Path("site"),
    languages: Languages = ALL_LANGUAGES,
) -> None:
    """Write the pages of a release as files that work from any web server and from a disk. Run it
    again if it was interrupted.
    """
    edition = build_edition(context.obj, release, languages)
    result = run_export(edition, output)
    print(f"release {edition.release.number}: {result.files} files: {output / 'index.html'}")


@app.command()
def zim(
    context: Context,
    release: ReleaseNumber = None,
    output: Annotated[Path, typer.Option(help="File to write.", dir_okay=False)] = Path(
        "stocktake.zim"
    ),
    languages: Languages = ALL_LANGUAGES,
) -> None:
    """Write the pages of a release as one file for Kiwix. Run it again if it was interrupted."""
    try:
        # It is imported late, since only an extra installs libzim.
        module = import_module("publisher.editions.zim")
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; pip install 'stocktake[zim]'")
    folder = output.with_name(f"{output.name}.pages")
    edition = build_edition(context.obj, release, languages)
    run_export(edition, folder)
    print_note("Packing the file ...", "dim")
    entries = module.write_zim(edition, folder, output)
    shutil.rmtree(folder)
    print(f"release {edition.release.number}: {entries} entries: {output}")


def build_edition(settings: Settings, number: int | None, languages: str) -> Edition:
    """Return the edition of a release with the name and the contact of this installation."""
    module = import_module(_SITE)
    try:
        chosen = module.check_languages(languages)
    except ValueError as error:
        raise typer.BadParameter(f"--languages: {error}") from error
    release = module.find_release(settings.data, number)
    contact = settings.contact if settings.contact != NO_CONTACT else ""
    branding = Branding(settings.name, contact, settings.logo, release.demo)
    edition: Edition = module.Edition(
        settings.data, Iris(settings.base), release, chosen, branding, settings.public_url
    )
    return edition


def run_export(edition: Edition, folder: Path) -> ExportResult:
    """Export a site, with progress on standard error; warn of addresses with an error status."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("Files", total=None)

        def step(text: str) -> None:
            bar.console.print(f"{text} ...", style="dim")

        def advance(done: int, known: int) -> None:
            bar.update(task, completed=done, total=known)

        result: ExportResult = asyncio.run(
            import_module(_SITE).export_site(edition, folder, step, advance)
        )
    for address, status in result.missing.items():
        print_note(f"{address} answered {status}", "yellow")
    return result
