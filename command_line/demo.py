"""Define the command demo, and the submissions of the demo: one is accepted, one waits for a
moderator, one must be changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.request import urlopen

import typer

from command_line.console import err
from command_line.services import Host, _check_port, public_address, supervise
from command_line.settings import Context, Settings, program_path
from command_line.validation import writable_directory
from demo.registries import SIZE, Demo
from demo.source_definitions import (
    FolderInUseError,
    demo_folder,
    is_free,
    next_free,
    open_submissions,
    write_sources,
)
from harvesters.ledger import submissions
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.participation import (
    SUBMITTER,
    Submission,
    SubmissionEvent,
    SubmissionState,
    Submitter,
)
from harvesters.participation.model import title_of
from web.branding import DEMO_NAME, NAME

PORT, REGISTRIES_PORT = 8000, 8790  # if a port is in use, another is chosen

app = typer.Typer()
ADDRESS = "visitor@example.org"  # address of their submitter
_SUBMITTER = "demo-visitor"
_COMMON = {
    "type": "Initiative",
    "publisher": {
        "name": "Open Knowledge Society",
        "classification": "civil-society",
        "country": "Kenya",
    },
    "license": "https://creativecommons.org/licenses/by/4.0/",
    "language": ["en"],
}
_CONTENTS: Mapping[str, tuple[SubmissionState, Mapping[str, Any]]] = {
    "demo-mesh": (
        SubmissionState.ACCEPTED,
        {
            "title": {"en": "Community mesh networks of the lake shore"},
            "description": {"en": "Forty villages build and run their own wireless network, and train one technician each."},
            "country": ["Kenya", "Uganda"], "actionLine": ["C2", "C4"], "goal": ["9", "4"], "start": "2025-02-01", "status": "ongoing",
            "why": {"9": {"en": "Villages without an operator get a connection."}}, "page": ["https://mesh.example/"],
        },
    ),
    "demo-library": (
        SubmissionState.SUBMITTED,
        {
            "title": {"en": "Talking books for rural libraries"},
            "description": {"en": "Volunteers record school books; libraries lend them on simple players."},
            "country": ["Ghana"], "actionLine": ["C3", "C8"], "goal": ["4", "10"], "start": "2025-09-01", "page": ["https://talking.example/"],
        },
    ),
    "demo-floods": (
        SubmissionState.CHANGES_REQUESTED,
        {
            "title": {"en": "Flood warnings by text message"},
            "description": {"en": "River gauges send a message to everybody downstream."},
            "country": ["Bangladesh"], "actionLine": ["C7-een"], "goal": ["13"], "page": ["https://floods.example/"],
        },
    ),
}  # fmt: skip
_NOTES = {
    SubmissionState.ACCEPTED: ("accepted", None),
    SubmissionState.CHANGES_REQUESTED: ("changes requested", "Since when does it run?"),
}


def seed_submissions(url: str) -> None:
    """Store the submissions in the ledger at *url*, unless they are there."""
    with closing(Ledger(url)) as ledger:
        if submissions.submitter_of(ledger, mail=ADDRESS):
            return
        now = datetime.now(UTC)
        who = submissions.ensure_submitter(ledger, Submitter(_SUBMITTER, ADDRESS, None, "en", now))
        for id, (state, members) in _CONTENTS.items():
            content = {**_COMMON, **members}
            waits, accepted = state is SubmissionState.SUBMITTED, state is SubmissionState.ACCEPTED
            submission = Submission(
                id, who.id, state, 1, content, content if accepted else None, title_of(content), "en", now, now,
                waiting_since=now if waits else None, first_accepted=now if accepted else None,
            )  # fmt: skip
            event = SubmissionEvent("submitted", SUBMITTER, now, content=content)
            submissions.add(ledger, (submission, event))
            if state in _NOTES:
                what, note = _NOTES[state]
                decision = SubmissionEvent(what, "Demo moderator", now, note)
                submissions.annotate(ledger, id, decision, {})


@app.command()
def demo(
    context: Context,
    host: Host = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            help="Port to listen on. Default: 8000, or the next free port.", min=0, max=65535
        ),
    ] = None,
    size: Annotated[int, typer.Option(help="Total number of simulated records.", min=100)] = SIZE,
    seed: Annotated[int, typer.Option(help="Random seed of the simulated records.")] = 1,
    registries_port: Annotated[
        int | None,
        typer.Option(
            help="Port of the simulated registries. Default: 8790, or any free port.",
            min=0,
            max=65535,
        ),
    ] = None,
) -> None:
    """Run a demo: start the portal, harvest simulated registries and make a release. The portal
    shows the progress.
    """
    if port is not None:
        _check_port(host, port)
    else:
        port = next_free(host, PORT)
    if registries_port is None:
        is_usable = port != REGISTRIES_PORT and is_free("127.0.0.1", REGISTRIES_PORT)
        registries_port = REGISTRIES_PORT if is_usable else 0
    elif registries_port == port != 0:
        raise typer.BadParameter(f"portal and registries cannot both use port {port}")
    else:
        _check_port("127.0.0.1", registries_port)
    registries = partial(Demo, size=size, seed=seed, port=registries_port)
    _run_demo(_demo_settings(context.obj), host, port, registries)


def _demo_settings(settings: Settings) -> Settings:
    data = settings.data / "demo"
    return replace(
        settings,
        data=data,
        sources=data / "sources",
        ledger=f"sqlite:///{data}/ledger.sqlite",
        allow_hosts=frozenset({"127.0.0.1"}),
        name=settings.name if settings.name != NAME else DEMO_NAME,
        demo=True,
    )


def _run_demo(settings: Settings, host: str, port: int, registries: Callable[[], Demo]) -> None:
    """Serve the portal, and run the other steps one after the other, until Ctrl-C."""
    data, url = settings.data, f"http://{host}:{port}/"
    services = {"serve": ["serve", "--host", host, "--port", str(port)]}
    with ExitStack() as stack:
        try:
            stack.enter_context(demo_folder(writable_directory(data), url))
        except FolderInUseError as error:
            raise typer.BadParameter(str(error)) from error

        def take_steps() -> Iterator[list[str]]:
            simulated = stack.enter_context(registries())
            write_sources(simulated.url, settings.sources)
            open_submissions(settings.sources)
            seed_submissions(settings.ledger)
            text = (
                f"The simulated registries are at {simulated.url}; their data are stored in {data}."
            )
            err.print(text, soft_wrap=True, highlight=False)
            yield ["harvest"]
            yield ["identity", "match", "--changed", "--publish", "--json"]
            services["schedule"] = ["schedule"]
            yield [] if any((data / "releases").glob("[0-9]*")) else ["release"]
            yield ["dump"]
            while not _announce_ready(url, settings, ADDRESS):
                yield []
            yield ["examples", "run", "--json"]

        start = f"Starting the demo. Open {url} to watch it; Ctrl-C ends it."
        err.print(start, soft_wrap=True, highlight=False)
        public = replace(settings, public_url=public_address(settings, host, port))
        supervise(services, public, take_steps())


def _announce_ready(url: str, settings: Settings, reporter: str) -> bool:
    """Print the URLs of the demo and the next steps once it is complete; return False until then."""
    try:
        with urlopen(f"{url}health", timeout=2) as answer:
            health = json.load(answer)
    except (OSError, ValueError):
        return False
    if health.get("start") or health["lag"]:
        return False
    path = program_path()
    for line in (
        "",
        f"The demo is ready: {url}",
        f"  Search             {url}search",
        f"  SPARQL             {url}sparql",
        f"  Admin pages        {url}admin/   (create a key: {settings.program()} keys create NAME --scope admin)",
        f"  Add a registry     {url}join",
        f"  Report an initiative {url}submit   (what {reporter} reported: {url}submit/mine)",
        f"  Own data           end the demo with Ctrl-C; then put source definitions into {Path('sources').absolute()}",
        f"                     and run: {path} harvest, {path} up (see README.md)",
        "Ctrl-C ends the demo. Its data stay in " + str(settings.data),
    ):
        err.print(line, soft_wrap=True, highlight=False, markup=False)
    return True
