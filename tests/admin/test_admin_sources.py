from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from clocks import NOON

from command_line.settings import Settings
from command_line.site import remap_source
from harvesters.admin.actions import digest
from harvesters.admin.sources import apply_form
from harvesters.ledger import operators, outbox
from harvesters.ledger.models import (
    CLUSTERS,
    VOCABULARY,
    LogLine,
    Message,
    Notice,
    Outcome,
    Scope,
    State,
)
from harvesters.reasons import Reason
from harvesters.source import read_text
from journal.files import FileLock
from publisher.portal.feed_samples import suggest_fields
from publisher.portal.wizard import fill_in
from vocab.iris import BASE

from .conftest import DEFINITION, HOSTILE, World, registry, staged

PAGE = "/admin/page/sources/projects"
DEFINE, NEW = "/admin/page/definition", "/admin/page/new-source"
TWO_PEOPLE = f"second_approver = true\n{DEFINITION}"


async def saving(world: World, **form: str) -> httpx.Response:
    await world.sign_in("admin")
    good = {"name": "projects", "text": DEFINITION, "do": "save", "note": "the owner moved"}
    return await world.send(DEFINE, {**good, **form})


@contextmanager
def locked(world: Any, name: str = "projects.lock") -> Iterator[None]:
    path = world.context.data / "locks" / name
    path.parent.mkdir(exist_ok=True)
    with FileLock(path):
        yield


def file_of(world: Any, text: str = "") -> Path:
    file: Path = world.context.source_dir / "projects.toml"
    if text:
        file.write_text(text, encoding="utf-8")
    return file


async def digest_of(world: World) -> str:
    await world.sign_in("admin")
    page = await world.page(f"{PAGE}/definition")
    return page.partition('name="before" value="')[2].partition('"')[0]


async def test_a_source_page_shows_its_runs_limits_counts_sizes_and_times(reader: Any) -> None:
    run = reader.add_held_plan((staged("a"), staged("b", Outcome.WITHHELD, reason="no title")))
    responses = {"count": 4, "bytes": 1_234_567, "milliseconds": 2000, "slowest": 1500}
    reader.create_run(state=State.FAILED, responses=responses)

    page = await reader.page(PAGE)

    assert f'href="/admin/page/runs/{run.id}?outcome=new#records"' in page
    for text in (
        '<rect class="held"', "50%", "Records expected (at least)", "0.5 sec (1.5 sec)", "1.2 MB",
    ):  # fmt: skip
        assert text in page


async def test_a_saved_definition_is_a_version_with_who_and_why(world: Any) -> None:
    before = await digest_of(world)

    answer = await saving(world, before=before, text=DEFINITION.replace("/api", "/v2"))

    assert answer.headers["Location"] == PAGE
    assert 'url = "https://registry.example/v2"' in file_of(world).read_text()
    assert "the owner moved" in await world.page(PAGE)
    assert "saved the definition of" in await world.page("/admin/page/audit-log")
    assert len(operators.definition_versions(world.ledger, "projects")) == 2


@pytest.mark.parametrize(
    ("language", "text", "faults"),
    [("en", 'title = 1\nprotocol = "jsn"\nevery = "often"\nspeed = 3',
      ("title is 1", "every 'often'", "unknown key 'speed'", "'url' is missing")),
     ("fr", 'titel = "x"\n[limits]\nvanished = 2',
      ("limits.vanished vaut 2 ; écrivez une part de 0 à 1", "dire 'title' ?", "'url' manque")),
     ("es", 'protocol = "json"\nmapping = "fields"\n[options]\nsize = "10"',
      ("la opción 'size' vale '10'; escriba un número entero", "falta 'url'"))],
)  # fmt: skip
async def test_a_definition_is_not_saved_and_all_faults_are_named_in_the_language_of_the_page(
    world: Any, language: str, text: str, faults: tuple[str, ...]
) -> None:
    world.client.headers["Accept-Language"] = language

    answer = await saving(world, before=await digest_of(world), text=text)

    assert answer.status_code == 422
    assert [fault for fault in faults if fault not in unescape(answer.text)] == []
    assert file_of(world).read_text() == DEFINITION


async def test_a_definition_that_two_people_edit_is_not_overwritten(world: Any) -> None:
    before, plans = await digest_of(world), DEFINITION.replace("Projects", "Plans")
    first = await saving(world, before=before, text=DEFINITION.replace("Projects", "Works"))

    second = await saving(world, before=before, text=plans)
    third = await saving(world, before=await digest_of(world), text=plans)

    assert (first.status_code, second.status_code, third.status_code) == (303, 409, 303)
    assert "Another person changed this definition" in second.text
    assert "Works" in second.text


async def test_the_form_changes_only_the_lines_of_its_fields(world: Any) -> None:
    fields = {"title": "Works", "every": "5 4 * * *", "vanished": "20", "enabled": ""}

    await saving(world, before=await digest_of(world), form="fields", **fields)

    text = file_of(world).read_text()
    for added in ("\n[limits]\nvanished = 0.2\n", 'every = "5 4 * * *"\nenabled = false\n'):
        assert added in text
        text = text.replace(added, "")
    assert text == DEFINITION.replace("Projects <b>of</b> the ministry", "Works")


def test_form_keeps_comments_and_replaces_values_of_several_lines() -> None:
    title = 'title   = """Projects\nof the ministry"""  # as on its site'
    before = DEFINITION.strip().replace('title = "Projects <b>of</b> the ministry"', title)
    text = f"{before}\n[limits]\nvanished = 0.1  # small\n"
    source, _faults = read_text("projects", text)
    assert source is not None

    changed = apply_form(text, source, {"title": "Works", "vanished": "20", "enabled": "yes"})

    assert 'title   = "Works"  # as on its site\n' in changed
    assert changed.endswith("[limits]\nvanished = 0.2  # small\n")
    assert "of the ministry" not in changed


async def test_a_new_source_is_imported_and_exported(world: Any) -> None:
    answer = await saving(world, name="works", before="")

    exported = await world.client.get("/admin/page/sources/works/definition.toml")
    assert answer.status_code == 303
    assert exported.text == DEFINITION
    assert exported.headers["Content-Disposition"] == 'attachment; filename="works.toml"'


async def test_a_source_is_added_by_the_steps_of_the_form_for_registries(admin: Any) -> None:
    admin.context.network = registry(json={"rows": [{"id": "1", "title": "Clinics <b>"}]})
    admin.context.fill_in = fill_in
    steps = {
        "kind": "json", "title": "Projects", "url": "https://registry.example/api", "licence": "https://example.org/l",
    }  # fmt: skip
    fields = {"records": "rows", "key": "id", "name": "title"}

    first, second = await admin.page(NEW), await admin.page(f"{NEW}?kind=json")
    third = await admin.send(NEW, {**steps, "suggest": "1"})
    last = await admin.page(f"{NEW}?{urlencode({**steps, **fields})}")
    name = last.partition('id="source-name" name="name" value="')[2].partition('"')[0]
    saved = await saving(admin, name=name, before="", text=text_field(last))

    assert '<input type="radio" name="kind" value="oai-pmh"' in first
    assert "<summary>Paste a definition</summary>" in first
    assert '<input id="url" name="url"' in second
    for key, path in fields.items():
        assert f'name="{key}" type="text" value="{path}"' in third.text
    # A source named "projects" exists already.
    assert saved.headers["Location"] == "/admin/page/sources/projects-2"
    saved_text = file_of(admin).with_name("projects-2.toml").read_text()
    assert tomllib.loads(saved_text)["fields"] == {"key": "id", "title": "title"}


def text_field(page: str) -> str:
    field = page.partition('<textarea id="text"')[2].partition("</textarea>")[0]
    return unescape(field.partition(">")[2])


async def test_a_sample_that_cannot_be_fetched_keeps_what_was_entered(admin: Any) -> None:
    admin.context.network, admin.context.fill_in = registry(500), fill_in
    form = {
        "kind": "csv", "title": "Works", "url": "https://registry.example/api", "licence": "https://example.org/l",
    }  # fmt: skip

    page = await admin.send(NEW, form)

    assert "The data cannot be fetched: https://registry.example/api" in page.text
    assert 'value="Works"' in page.text


async def test_a_name_that_is_no_name_writes_no_file(world: Any) -> None:
    for name in ("../evil", "a/b", "UPPER", "", "x" * 80, HOSTILE):
        answer = await saving(world, name=name, before="")

        assert answer.status_code == 422, name
        assert [*world.context.source_dir.rglob("*")] == [file_of(world)], name


async def test_a_dry_run_shows_records_and_stores_nothing(operator: Any) -> None:
    rows = [{"id": "1", "name": "Clinics <b>"}, {"id": "2", "name": "A long name " * 40}]
    operator.context.network = registry(json={"results": rows})

    page = await operator.send(f"{PAGE}/preview")

    title = '<dt dir="auto">Title</dt><dd><span dir="auto">Clinics &lt;b&gt;</span></dd>'
    assert page.status_code == 200
    assert title in page.text
    assert page.text.count(">would be published</span>") == 2
    assert '<dd><details><summary dir="auto">A long name A long name' in page.text
    assert operator.ledger.runs() == []


async def test_archived_data_are_mapped_again_after_a_preview(operator: Any) -> None:
    run = operator.create_run(state=State.COMMITTED, ended=NOON)
    requests = []

    def remap(name: str, is_dry_run: bool) -> dict[str, Any]:
        requests.append((name, is_dry_run))
        return {"run": run.id, "counts": {"changed": 7, "lost": 0}, "held": "7 of 9 changed"}

    operator.context.remap = remap

    preview = await operator.send(f"{PAGE}/remap", {"do": "preview"})
    applied = await operator.send(f"{PAGE}/remap", {"do": "apply"})

    assert '<td class="count"><bdi>7</bdi></td>' in preview.text
    assert "7 of 9 changed" in preview.text
    assert (applied.status_code, applied.headers["Location"]) == (303, f"/admin/page/runs/{run.id}")
    assert requests == [("projects", True), ("projects", False)]
    (entry,) = operators.audit_entries(operator.ledger)
    assert (entry.what, entry.source, entry.note) == ("requested a run", "projects", "remap")
    waiting = operator.add_held_plan((staged("a"),))
    refused = await operator.send(f"{PAGE}/remap", {"do": "apply"})
    assert refused.status_code == 409
    assert f'<a href="/admin/page/runs/{waiting.id}">A change of this source' in refused.text
    assert len(operators.audit_entries(operator.ledger)) == 1


@pytest.mark.nightly
async def test_a_source_is_mapped_again_in_a_process_of_its_own(world: Any) -> None:
    data = world.context.data
    settings = Settings(
        data, data / "sources", BASE, world.context.url, frozenset(), "us@example.org", "rust"
    )

    assert "no complete run is archived" in remap_source(settings, "projects", True)["reason"]


async def test_a_failed_run_is_repeated_from_its_page_and_from_the_lists(operator: Any) -> None:
    run = operator.create_run(
        state=State.FAILED, ended=NOON, reasons=(Reason("interrupted, then restarted"),)
    )
    lists = ("/admin/", "/admin/page/runs", f"/admin/page/runs/{run.id}")
    retry = f'Retry<span class="hidden"> {run.id}</span></button>'

    before = [(await operator.page(path)).count(retry) for path in lists]
    answer = await operator.send(f"{PAGE}/runs")
    after = [(await operator.page(path)).count(retry) for path in lists]

    assert answer.status_code == 303
    assert (before, after) == ([1, 1, 1], [0, 0, 0])  # a queued run has no button
    assert operators.run_requests(operator.ledger)[0].source == "projects"


async def test_the_inbox_lists_no_runs_of_the_program_itself(reader: Any) -> None:
    for name in ("projects", VOCABULARY, CLUSTERS):
        reader.ledger.create_run(name, NOON, "rules", is_full=True, since=None)

    inbox, runs = await reader.page("/admin/"), await reader.page("/admin/page/runs")

    assert "projects.1" in inbox
    assert f"{VOCABULARY}.1" not in inbox
    assert f"{CLUSTERS}.1" not in inbox
    assert f"{VOCABULARY}.1" in runs


async def test_the_inbox_has_the_worst_change_first_with_all_its_reasons(operator: Any) -> None:
    changed = Reason("changed", count=6, total=10, share="60%", limit="50%")
    more = Reason("missing", count=9, total=10, share="90%", limit="10%")
    mild = operator.add_held_plan((staged("a"),), reason=changed)
    bad = operator.add_held_plan((staged("b"),), reason=Reason("no_records"))
    operator.ledger.save(replace(bad, reasons=(*bad.reasons, more)))

    page = await operator.page("/admin/")

    first = "the source returned no records; the last good data stays"
    assert page.index(bad.id) < page.index(mild.id)
    assert f'<li dir="auto">{first}</li><li dir="auto">9 of 10' in page


async def test_a_change_is_shown_field_by_field_and_by_country_and_goal(reader: Any) -> None:
    terms = (
        '<http://purl.org/dc/terms/title> "Clinics"@en', "<http://purl.org/dc/terms/spatial> <http://metadata.un.org/sdg/codes/geoArea/404>",
        f"<{BASE}ns#goal> <http://metadata.un.org/sdg/3>",
    )  # fmt: skip
    lines = "\n".join(f"<{BASE}id/initiative/projects/a> {term}" for term in terms)
    run = reader.add_held_plan((replace(staged("a"), description=lines),))

    page = await reader.page(f"/admin/page/runs/{run.id}")

    assert '<dt dir="auto">Country or region</dt><dd><ins dir="auto">Kenya</ins>' in page
    assert '<th scope="row">Kenya</th><td class="count"><bdi class="plus">+1</bdi>' in page
    assert '<th scope="row">3 Ensure healthy lives' in page


async def test_chosen_changes_are_rejected_together_with_one_reason(operator: Any) -> None:
    run, note = operator.add_held_plan((staged("a"),)), "Half of it is missing."
    inbox = await operator.page("/admin/")

    rejected = await operator.send(
        "/admin/page/plans/reject", {"note": note, f"plan:{run.id}": "yes", "plan:no.1": "yes"}
    )

    assert 'formaction="/admin/page/plans/reject"' in inbox
    assert (rejected.status_code, "Decided: 1" in rejected.text) == (409, True)
    assert operator.ledger.run(run.id).state is State.REJECTED
    (entry,) = operators.audit_entries(operator.ledger)
    assert (entry.what, entry.run, entry.note) == ("rejected", run.id, note)


@pytest.mark.parametrize("decision", ["approve", "reject"])
async def test_chosen_changes_that_cannot_be_decided_are_named(
    operator: Any, decision: str
) -> None:
    run, path = operator.add_held_plan((staged("a"),)), f"/admin/page/plans/{decision}"
    operator.ledger.save(replace(run, state=State.REJECTED))

    none = await operator.send(path)
    refused = await operator.send(path, {f"plan:{run.id}": "yes", "plan:no.1": "yes"})

    assert (none.status_code, refused.status_code) == (422, 409)
    assert run.id in refused.text
    assert "no.1" in refused.text


async def test_runs_are_found_by_state_and_by_a_text_of_their_remarks(reader: Any) -> None:
    first = reader.add_held_plan((staged("b", Outcome.WITHHELD, reason="the licence is unknown"),))
    second = reader.add_held_plan((staged("a"),), reason="disk full")

    for query, expected in {
        "q=licence": [first.id], "q=DISK": [second.id], "state=failed": [], "q=100%25": [],
    }.items():  # fmt: skip
        page = await reader.page(f"/admin/page/runs?{query}")
        assert [run.id for run in (first, second) if f">{run.id}<" in page] == expected, query


async def test_an_approval_is_undone_on_the_page_of_its_run_until_the_next_run(
    operator: Any,
) -> None:
    run = operator.add_held_plan((staged("a"),))
    page, plan = f"/admin/page/runs/{run.id}", f"/admin/page/plans/{run.id}"
    waiting = await operator.page(page)
    early = await operator.api(f"/plans/{run.id}/undo", method="POST")
    await operator.send(f"{plan}/approve")
    offered = await operator.page(page)

    undone = await operator.send(f"{plan}/undo", {"reason": "the wrong list"})
    again = await operator.send(f"{plan}/undo")
    after = await operator.page(page)

    offer = f'action="{plan}/undo"'
    assert [offer in text for text in (waiting, offered, after)] == [False, True, False]
    assert (early.status_code, undone.status_code, again.status_code) == (409, 303, 409)
    assert operator.ledger.run(run.id).state is State.UNDONE
    assert operator.ledger.count_published("projects") == 0
    assert "undid the approval of" in await operator.page("/admin/page/audit-log")


async def test_a_running_run_shows_its_progress_and_its_log(reader: Any) -> None:
    run = reader.create_run(pages=3, fetched=42)
    reader.ledger.append_log(
        [LogLine(run.id, "projects", NOON, "warning", "retrying request", {"reason": HOSTILE})],
    )

    with locked(reader):
        page = await reader.page(f"/admin/page/runs/{run.id}")
    result = await reader.page("/admin/page/logs?q=RETRYING&level=warning&source=projects")
    none = await reader.page("/admin/page/logs?q=RETRYING&level=error")
    [line] = (await reader.api(f"/runs/{run.id}/log", "read")).json()

    assert "This run is in progress." in page
    assert "42" in page
    assert all("retrying request" in text and "<script>" not in text for text in (page, result))
    assert "No log lines." in none
    assert line["event"] == "retrying request"


async def test_log_lines_are_shown_page_by_page_with_the_same_filters(reader: Any) -> None:
    reader.ledger.append_log(
        [LogLine("a&b.1", "a&b", NOON, "info", f"line {number}", {}) for number in range(150)],
    )

    first = await reader.page("/admin/page/logs?source=a%26b")
    next_page = re.search(r'rel="next" href="([^"]+)"', first)
    assert next_page is not None
    second = await reader.page("/admin/page/logs" + unescape(next_page[1]))

    assert first.count("<li class=") == 100
    assert second.count("<li class=") == 50
    assert 'rel="next"' not in second


async def test_every_count_of_a_run_opens_its_records(reader: Any) -> None:
    staged_records = [staged(f"n{number}") for number in range(60)]
    staged_records += [staged("gone", Outcome.DELETED), staged("same", Outcome.UNCHANGED)]
    run = reader.add_held_plan(tuple(staged_records))
    counts = {
        "fetched": 62, "new": 60, "deleted": 1, "gone": 1, "published_after": 60, "reported": 70,
    }  # fmt: skip
    reader.ledger.save(replace(run, counts=counts))
    address, key = f"/admin/page/runs/{run.id}", re.compile(r"<code><bdi>([^<]+)</bdi></code></p>")

    page = await reader.page(address)
    pages = [await reader.page(f"{address}?outcome=fetched")]
    while next_page := re.search(r'rel="next" href="([^"]+)"', pages[-1]):
        pages.append(await reader.page(unescape(next_page[1])))
    gone = await reader.page(f"{address}?outcome=gone")

    for name in ("fetched", "new", "deleted", "gone"):
        assert f'href="{address}?outcome={name}#records"' in page
    assert 'href="/search?source=projects"' in page
    keys = sorted(key.findall("".join(pages)))
    assert keys == sorted(item.key or "" for item in staged_records)
    assert key.findall(gone) == ["gone"]
    assert (await reader.client.get(f"{address}?outcome=none")).status_code == 422


async def test_a_change_that_needs_two_people_says_who_approved_it(world: Any) -> None:
    file_of(world, TWO_PEOPLE)
    run = world.add_held_plan((staged("a"),))
    await world.sign_in("operate")
    address, approve = f"/admin/page/runs/{run.id}", f"/admin/page/plans/{run.id}/approve"

    before = await world.page(address)
    first = await world.send(approve)
    between = await world.page(address)
    again = await world.send(approve)
    await world.sign_in("admin")
    await world.send(approve)

    assert "This source needs the approval of two people." in before
    assert (first.status_code, again.status_code) == (303, 409)
    assert "Approved by a person who may operate" in between
    assert world.ledger.run(run.id).state is State.COMMITTED


async def test_the_system_page_counts_messages_and_says_who_executes_runs(reader: Any) -> None:
    outbox.queue_messages(reader.ledger, [Message("mail", "ops@example.org", "", "", "")], NOON)

    page = await reader.page("/admin/page/system")

    assert "The scheduler executes the runs itself." in page
    assert re.search(r'href="/admin/page/alerts#messages"><bdi>1</bdi>', page)


async def test_a_definition_that_needs_two_people_is_a_proposal_until_another_confirms(
    world: Any,
) -> None:
    definition = file_of(world, TWO_PEOPLE)
    _, other = operators.create_key(world.ledger, "Another administrator", Scope.ADMIN, NOON)
    text, proposal = f"{DEFINITION}\n[limits]\nexpect = 5\n", f"{PAGE}/proposal"

    proposed = await saving(world, text=text, before=digest(TWO_PEOPLE), note="they grew")
    unchanged = definition.read_text(encoding="utf-8")
    by_the_same = await world.send(proposal, {"do": "confirm"})
    await world.sign_in(other)
    page = await world.page(PAGE)
    confirmed = await world.send(proposal, {"do": "confirm"})
    again = await world.send(proposal, {"do": "confirm"})

    answers = (proposed, by_the_same, confirmed, again)
    assert [answer.status_code for answer in answers] == [303, 422, 303, 404]
    assert unchanged == TWO_PEOPLE
    for word in ("Proposed definition", "they grew", "expect = 5", "Confirm and save"):
        assert word in page
    assert definition.read_text(encoding="utf-8") == text
    newest = operators.definition_versions(world.ledger, "projects")[0]
    assert all(name in newest.who for name in ("a person who may admin", "Another administrator"))


async def test_a_proposal_is_discarded_or_outdated_by_a_change_of_the_file(admin: Any) -> None:
    operators.save_definition(
        admin.ledger, "projects", DEFINITION, "ann", NOON, None, digest(TWO_PEOPLE)
    )
    file_of(admin, f"# edited\n{TWO_PEOPLE}")

    outdated = await admin.send(f"{PAGE}/proposal", {"do": "confirm"})
    discarded = await admin.send(f"{PAGE}/proposal", {"do": "discard"})

    assert (outdated.status_code, discarded.status_code) == (409, 303)
    assert operators.proposed_definition(admin.ledger, "projects") is None
    assert "discarded a proposed definition of" in await admin.page("/admin/page/audit-log")


async def suggesting(world: Any, text: str) -> httpx.Response:
    world.context.suggest_fields = suggest_fields
    await world.sign_in("admin")
    form = {"name": "registry", "before": "", "text": text, "do": "suggest"}
    answer: httpx.Response = await world.send(DEFINE, form)
    return answer


async def test_fields_are_suggested_from_the_data_for_keys_that_are_lacking(world: Any) -> None:
    first = {"id": "1", "title": "Clinics", "country": "KE; UG"}
    rows = [first, {"id": "2", "title": "Schools", "country": "RW"}]
    world.context.network = registry(json={"rows": rows})
    text = (
        '# ours\ntitle = "A registry"\nurl = "https://registry.example/api"\n[fields]\nkey = "id"\n'
    )

    page = await suggesting(world, text)

    row = "<code><bdi>country</bdi></code></th><td><code>countries</code></td><td><bdi>KE; UG</bdi> · <bdi>RW</bdi>"
    assert page.status_code == 200
    written = tomllib.loads(text_field(page.text))
    assert written["fields"] == {"key": "id", "title": "title", "countries": "country"}
    assert (written["protocol"], written["mapping"]) == ("json", "fields")
    assert written["options"] == {"records": "rows", "split": {"countries": ";"}}
    assert "# ours" in page.text
    assert row in page.text


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [('title = "A registry"', 200, "Write the address of the data first"), ("title = ", 200, "The definition is not TOML"),
     ('url = "https://registry.example/api"', 500, "The data cannot be fetched: https://registry.example/api: answered 500"),
     ('url = "https://registry.example/api"', 200, "No fields can be suggested")],
)  # fmt: skip
async def test_why_no_fields_are_suggested(
    world: Any, text: str, status: int, message: str
) -> None:
    world.context.network = registry(status, text="hello")

    page = await suggesting(world, text)

    assert page.status_code == 422
    assert message in unescape(page.text)
    assert text in unescape(page.text)


async def test_the_page_of_a_run_in_progress_is_loaded_again_on_request_only(reader: Any) -> None:
    run = reader.create_run()
    path = f"/admin/page/runs/{run.id}"

    with locked(reader):
        pages = [await reader.page(f"{path}{query}") for query in ("", "?live=true")]
    reader.ledger.save(replace(run, state=State.FAILED, ended=NOON))
    pages.append(await reader.page(f"{path}?live=true"))

    assert ['http-equiv="refresh"' in page for page in pages] == [False, True, False]
    assert f'<a href="{path}?live=true#log">Update every 5 seconds</a>' in pages[0]
    assert "Stop updating" in pages[1]


async def test_notices_of_a_run_are_in_the_language_of_the_page(reader: Any) -> None:
    run = reader.add_held_plan((staged("a"),))
    limit = Reason("override_used", by="Ada", limit="vanished", value="0.5")
    notices = [Notice("override", limit.text), Notice("note", "Anything else")]
    reader.ledger.replace_notices(run, "override", notices)

    page = await reader.page(f"/admin/page/runs/{run.id}", "fr")

    for text in ("Ada a permis une fois vanished jusqu’à 0.5", "Anything else"):
        assert text in page


async def test_a_run_whose_process_died_is_interrupted_on_every_page(reader: Any) -> None:
    run = reader.create_run()
    paths = ("/", "/page/runs", f"/page/runs/{run.id}", "/page/sources/projects", "/page/system")
    label = '<span class="state interrupted">interrupted</span>'

    pages = [await reader.page(f"/admin{path}") for path in paths]
    with locked(reader):
        live = [await reader.page(f"/admin{path}") for path in paths]
    api = await reader.api(f"/runs/{run.id}", "read")

    assert [label in page for page in pages] == [True, True, True, True, False]
    assert "No run is in progress." in pages[-1]
    assert [label in page for page in live] == [False] * 5
    assert api.json()["state"] == "interrupted"


async def test_a_requested_run_is_queued_on_the_page_of_its_source(operator: Any) -> None:
    paths = ("/admin/", PAGE, "/admin/page/system")

    await operator.send(f"{PAGE}/runs")
    alone = [await operator.page(path) for path in paths]
    with locked(operator, ".schedule.lock"):
        served = [await operator.page(path) for path in paths]

    assert ["No schedule is running" in page for page in alone] == [True] * 3
    assert ["Queued runs" in page for page in alone] == [True, True, False]
    assert ["starts within seconds" in page for page in alone] == [False] * 3
    assert ["No schedule is running" in page for page in served] == [False] * 3
    assert ["starts within seconds" in page for page in served] == [True, True, False]


async def test_a_requested_run_that_did_not_start_says_why_on_the_page_of_its_source(
    reader: Any,
) -> None:
    number = operators.request_run(reader.ledger, "projects", False, "ann", NOON)
    operators.complete_request(reader.ledger, number, "it is in its quiet hours")

    page = await reader.page(PAGE)

    assert "The requested run did not start" in page
    assert "it is in its quiet hours" in page
