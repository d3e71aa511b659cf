from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
from generated import COMMANDS_ONLY
from typer.main import get_command

from harvesters.admin import pages
from harvesters.admin.actions import OPERATIONS
from languages.translations import LANGUAGES
from stocktake import app

from .conftest import staged

_TEMPLATES = Path(pages.__file__).parent / "templates"
_FORM = re.compile(r'<form method="post" action="/admin([^"]+)"')


async def _forms(world: Any, language: str) -> set[str]:
    """Return the addresses to which the forms of the admin pages are sent, in one language."""
    sent = set[str]()
    run = world.add_held_plan((staged("a"),))
    run_page, source_page = f"/admin/page/runs/{run.id}", "/admin/page/sources/projects"
    for path, step in (
        (run_page, f"/admin/page/plans/{run.id}/approve"),
        (run_page, "/admin/page/sources/projects/hold"),
        (source_page, "/admin/page/sources/projects/release"),
        (source_page, ""),
    ):
        sent.update(_FORM.findall(await world.page(path, language)))
        if step:
            assert (await world.send(step)).status_code == 303
    return sent


async def test_every_operation_is_offered_where_it_says_in_six_languages(admin: Any) -> None:
    description = (await admin.client.get("/admin/openapi.json")).json()["paths"]
    for item in OPERATIONS:
        method, _, path = item.api.partition(" ")
        assert not path or method.lower() in description[path], item.name
    written = {  # forms that pages have only if they list something
        re.sub(r"#.*", "", re.sub(r"{{ [^}]+ }}", "1", path))
        for file in _TEMPLATES.glob("*.html")
        for path in re.findall(
            r'action="{{ root }}([^"]+)"',
            file.read_text(encoding="utf-8").replace("{{ address }}", "{{ root }}/page/sources/1"),
        )
    }
    for language in LANGUAGES:
        sent = written | await _forms(admin, language)
        for item in filter(lambda item: item.form, OPERATIONS):
            pattern = re.compile(re.sub(r"{\w+}", "[^/]+", item.form))
            assert any(map(pattern.fullmatch, sent)), (item.name, language)


def test_every_action_in_the_audit_log_has_a_sentence() -> None:
    folder = Path(pages.__file__).parents[1]
    files = [*folder.glob("admin/*.py"), *folder.glob("runs/*.py")]
    texts = "".join(file.read_text(encoding="utf-8") for file in files)
    actions = {*re.findall(r"audit\(\s*[^,]+,\s*\w+,\s*\"([^\"]+)\"", texts)}

    assert len(actions) > 20
    assert actions <= pages.SENTENCES.keys()


def test_every_command_of_an_operation_runs_it() -> None:
    for words in (*(item.command for item in OPERATIONS if item.command), *COMMANDS_ONLY):
        command: Any = get_command(app)
        for word in words.split():
            command = command.get_command(click.Context(command), word)
            command = command.load() if hasattr(command, "load") else command
        assert command.callback, words
