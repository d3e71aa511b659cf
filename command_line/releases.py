"""Define the commands dump, release, report and export."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from command_line.console import err, fail, print_note
from command_line.settings import Context, Settings
from journal.journal import Journal
from languages.translations import LANGUAGES
from publisher.errors import PublisherError
from publisher.releases import copies, schedule
from publisher.releases.builder import KEEP, apply_retention, build_release, to_json
from publisher.releases.dump import write_dumps
from publisher.store import releases as release_stores
from publisher.store.process import configure_memory
from publisher.store.releases import Release, find_release, list_releases, newest_release
from vocab.iris import Iris

if TYPE_CHECKING:
    from publisher.editions.site import Edition

app = typer.Typer(no_args_is_help=True)


@app.command()
def dump(context: Context) -> None:
    """Write complete dumps: N-Quads, Turtle, and a CSV of removed records (gzip), each with its
    SHA-256.
    """
    for path in write_dumps(Journal(context.obj.data / "journal"), context.obj.data / "dumps"):
        print(path)


@app.command()
def release(
    context: Context,
    keep: Annotated[
        int, typer.Option(help="Number of releases whose files are kept.", min=1)
    ] = KEEP,
    every: Annotated[
        str, typer.Option(help="Make releases on this cron schedule (UTC) until Ctrl-C.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Make the next release: signed, numbered files of all published data. Exit code 1 if nothing
    has changed.
    """
    if every:
        try:
            schedule.trigger(every)
        except ValueError as error:
            raise typer.BadParameter(f"--every {every!r}: {error}") from error
        schedule.follow(
            every,
            newest_release(context.obj.data / "releases"),
            lambda: _make_release(context.obj, keep, json),
        )
        return
    _make_release(context.obj, keep, json)


def _make_release(settings: Settings, keep: int, json: bool) -> Release:
    """Make a release with its queryable store and its report, and delete the files of old releases."""
    now, folder, iris = datetime.now(UTC), settings.data / "releases", Iris(settings.base)
    configure_memory()  # so that each step returns its memory before the next one
    copies.download(settings.data)
    result = build_release(
        settings.data,
        iris,
        now,
        lambda step: print_note(f"{step} ...", "dim"),
        demo=settings.demo,
    )
    copies.upload(settings.data, result.number)
    release_stores.create_store(settings.data, result, iris)
    gone = apply_retention(folder, keep, now)
    release_stores.remove_stores(
        settings.data,
        (old_release.number for old_release in list_releases(folder) if not old_release.withdrawn),
    )
    if json:
        print(to_json(result))
    else:
        print(
            f"release {result.number} of journal entry {result.position}: {folder / str(result.number)}"
        )
    print_note("Writing the report ...", "dim")
    _report(settings, result.number)
    if not json:
        for old_release in gone:
            print(f"release {old_release.number}: files deleted (--keep {keep})")
    return result


def _report(settings: Settings, number: int) -> None:
    """Make the report of a new release; a failure is printed and leaves the release as it is."""
    try:
        # It is imported late, since it imports all pages.
        import_module("publisher.portal.report.builder").build_report(
            settings.data, Iris(settings.base), number, "en", {}
        )
    except (PublisherError, OSError) as error:
        print_note(f"report of release {number} failed: {error}", "yellow")


@app.command()
def report(
    context: Context,
    number: Annotated[
        int | None, typer.Option("--release", help="Release number (default: the newest).", min=1)
    ] = None,
    language: Annotated[str, typer.Option(help="Language: en, ar, zh, fr, ru or es.")] = "en",
    year: Annotated[str, typer.Option(help="Only initiatives of this year.")] = "",
    region: Annotated[
        str, typer.Option(help="Only of this ITU region, by its code, such as africa.")
    ] = "",
    action_line: Annotated[
        str, typer.Option(help="Only of this action line, such as C7-ehea.")
    ] = "",
    goal: Annotated[
        str, typer.Option(help="Only of this Sustainable Development Goal, such as 4.")
    ] = "",
    country: Annotated[
        str,
        typer.Option(
            help="Only of this country, by its M49 code, ISO code or name, such as 404, KE or Kenya."
        ),
    ] = "",
) -> None:
    """Write the stocktaking report of a release as HTML and PDF."""
    reporting = import_module("publisher.portal.report.builder")  # imports all pages
    filters = {
        "year": year,
        "region": region,
        "line": action_line,
        "goal": goal,
        "country": country,
    }
    result = reporting.build_report(
        context.obj.data,
        Iris(context.obj.base),
        number,
        language,
        {facet: code for facet, code in filters.items() if code},
    )
    for file in (*result["files"], reporting.NUMBERS):
        print(context.obj.data / "reports" / result["name"] / file)


_SITE = "publisher.editions.site"  # imported late, since it imports all pages
export = typer.Typer(
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


@export.command()
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
    files = run_export(edition, output)
    print(f"release {edition.release.number}: {files} files: {output / 'index.html'}")


@export.command()
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
    release = find_release(settings.data, number)
    edition: Edition = module.Edition(
        settings.data,
        Iris(settings.base),
        release,
        chosen,
        settings.branding(release.demo),
        settings.public_url,
    )
    return edition


def run_export(edition: Edition, folder: Path) -> int:
    """Export a site, with progress on standard error; warn of addresses with an error status.
    Return how many files it has.
    """
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

        files, missing = asyncio.run(
            import_module(_SITE).export_site(edition, folder, step, advance)
        )
    for address, status in missing.items():
        print_note(f"{address} answered {status}", "yellow")
    return int(files)
