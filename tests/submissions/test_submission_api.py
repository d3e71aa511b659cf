from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from rows import each
from sqlalchemy import text

from vocab.iris import BASE

from .conftest import INITIATIVE, SubmissionWorld, bearer, change, codes, person, submitted

TURTLE = """@prefix dct: <http://purl.org/dc/terms/> . @prefix wsis: <https://w3id.org/wsis-stocktaking/ns#> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> .
<> a wsis:Initiative ; dct:title "Village telecentres"@en, "Télécentres"@fr ; dct:publisher [ foaf:name "Ministry of Information" ] ;
  wsis:goal <http://metadata.un.org/sdg/4> ; wsis:actionLine <https://w3id.org/wsis-stocktaking/scheme/action-line/C4> ."""


async def sent(
    client: httpx.AsyncClient, body: object, media: str = "application/ld+json", path: str = "/submissions"
) -> httpx.Response:  # fmt: skip
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return await client.post(path, content=content, headers={"Content-Type": media})


async def test_a_submission_by_json_waits_for_a_moderator(client: httpx.AsyncClient) -> None:
    answer = await client.post("/submissions", json=INITIATIVE)

    body = answer.json()
    assert (answer.status_code, answer.headers["ETag"]) == (201, '"1"')
    assert (body["state"], body["version"], body["record"]) == ("submitted", 1, None)
    assert answer.headers["Location"] == f"/submissions/{body['id']}"
    assert body["content"]["publisher"] == {"name": "Ministry of Information"}


async def test_published_json_can_be_sent_back(client: httpx.AsyncClient) -> None:
    published = {
        "@context": f"{BASE}context.jsonld", "id": f"{BASE}id/initiative/kenya/p1", "type": "Initiative",
        "title": {"en": "Village telecentres"}, "goal": ["http://metadata.un.org/sdg/4"], "actionLine": [f"{BASE}scheme/action-line/C4"],
        "country": ["http://metadata.un.org/sdg/codes/geoArea/404"],
        "publisher": [{"id": f"{BASE}id/organization/kenya/m", "type": "Organization", "name": {"en": "Ministry"}}],
        "claims": [{"id": "x", "type": "Claim"}], "record": {"id": f"{BASE}record/kenya/p1"},
    }  # fmt: skip

    answer = await sent(client, published)

    assert answer.status_code == 201, answer.text
    assert answer.json()["content"]["actionLine"] == ["C4"]


async def test_turtle_and_json_ld_say_the_same(client: httpx.AsyncClient) -> None:
    ld = {
        "@context": {"dct": "http://purl.org/dc/terms/", "wsis": f"{BASE}ns#"}, "@type": "wsis:Initiative",
        "dct:title": [{"@value": "Village telecentres", "@language": "en"}, {"@value": "Télécentres", "@language": "fr"}],
        "dct:publisher": "Ministry of Information", "wsis:goal": {"@id": "http://metadata.un.org/sdg/4"},
        "wsis:actionLine": {"@id": f"{BASE}scheme/action-line/C4"},
    }  # fmt: skip

    turtle = await sent(client, TURTLE.encode(), "text/turtle", "/submissions/check")
    json_ld = await sent(client, ld, path="/submissions/check")

    assert turtle.json()["content"] == json_ld.json()["content"]
    assert turtle.json()["content"]["title"] == {"en": "Village telecentres", "fr": "Télécentres"}
    assert turtle.json()["content"]["publisher"] == {"name": "Ministry of Information"}


async def test_a_violation_and_an_unknown_goal_are_named_by_their_member(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/submissions", json={"type": "Initiative", "country": ["KE"]},
    headers={"Accept-Language": "fr"})  # fmt: skip

    violations = [item for item in answer.json()["results"] if item["severity"] == "Violation"]
    assert answer.status_code == 422
    assert [(item["member"], item["message"], item["rule"]) for item in violations] == [
        ("title", "Il n'y a pas de titre.", "ResourceTitle")
    ]
    results = (await submitted(client, goal=["4", "nonsense"]))["results"]

    [message] = [item["message"] for item in results if item["member"] == "goal"]
    assert message == "“nonsense” is not known here; it would become a topic."


HOSTILE: list[tuple[dict[str, Any], str]] = [
    ({"titel": {"en": "x"}}, "titel"), ({"title": ["x"]}, "title"), ({"title": {"en": "x" * 301}}, "title"),
    ({"title": "no language"}, "title"),
    ({"goal": [{"a": {"b": []}}]}, "goal"), ({"goal": [True]}, "goal"), ({"goal": ["4"] * 51}, "goal"),
    ({"page": ["javascript:alert(1)"]}, "page"), ({"license": "CC BY"}, "license"), ({"start": "yesterday"}, "start"),
    ({"place": {"lat": "91", "long": "0"}}, "place"), ({"place": {"lat": "1e999", "long": "0"}}, "place"),
    ({"publisher": f"{BASE}id/organization/kenya/m"}, "publisher"), ({"why": "because"}, "why"), ({"venue": {"en": "Geneva"}}, "venue"),
    ({"registration": "https://register.example/"}, "registration"),  # only events have it
    ({"type": "Event", "registration": "javascript:alert(1)"}, "registration"),
]  # fmt: skip


@each("changed, member", HOSTILE)
async def test_a_hostile_member_is_refused_by_name(
    client: httpx.AsyncClient, changed: dict[str, Any], member: str
) -> None:
    answer = await client.post("/submissions", json={**INITIATIVE, **changed})

    assert answer.status_code == 422
    assert [item["member"] for item in answer.json()["results"]] == [member]


@each(
    "body",
    [b"", b"{", b"[1]", b"null", b"\xff\xfe", b"[" * 5_000, b'{"type": "Person"}', b'"\\ud800"'],
)
async def test_a_body_that_is_no_record_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await sent(client, body, "application/json")

    assert answer.status_code in (400, 422)
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_html_and_invisible_characters_become_text(client: httpx.AsyncClient) -> None:
    body = await submitted(
        client,
        title={"en": "A\u202e\u0000 <b>bold</b>\nplan"},
        description={"en": "<p>One</p><script>x()</script><p>Two</p>"},
    )

    assert body["content"]["title"] == {"en": "A bold plan"}
    assert body["content"]["description"] == {"en": "One\n\nTwo"}


NESTED = '<a> <b> "two\nlines" , ' + "<<(<a><a>" * 21_500 + "<a>" + ")>>" * 21_500 + " ."
CHAIN = {"p": "t1:a"} | {f"t{n}": f"t{n + 1}:" for n in range(4_000)} | {"t4000": "http://a/"}
SCOPED = {"p": {"@id": "http://a/p", "@context": {f"t{n}": f"http://a/{n}" for n in range(3_000)}}}
# A name of 100,000 characters that would be written 20,000 times.
REPEATED = (
    f"{TURTLE} ; wsis:partner {', '.join(['_:b'] * 20_000)} . _:b foaf:name '{'a' * 100_000}' ."
)


@each(
    "body, media, status, reason",
    [(NESTED.encode(), "text/turtle", 400, "triple terms are nested more than 100 deep"),
     ({"@context": CHAIN, "p": "a"}, "application/ld+json", 400, "more than 1,000 terms"),
     ({"@context": SCOPED, "p": ["a"] * 9_000}, "application/ld+json", 400, "a context of its own"),
     (b"[" * 900 + b"]" * 900, "application/json", 400, "nested more than 254 deep"),
     (REPEATED.replace("C4> . ;", "C4> ;").encode(), "text/turtle", 400, "0.5 GiB"),
     ({"@context": "https://evil.example/context", "@type": "x"}, "application/ld+json", 400, "evil.example/context"),
     (b"<rdf/>", "application/rdf+xml", 415, "text/turtle"), (b"x" * 10_000_000, "application/json", 413, "")],
)  # fmt: skip
async def test_a_document_that_costs_too_much_or_is_no_record_is_refused_and_ends_nothing(
    body: object, media: str, status: int, reason: str, client: httpx.AsyncClient
) -> None:
    refused = await sent(client, body, media, "/submissions/check")
    after = await client.post("/submissions/check", json=INITIATIVE)

    assert (refused.status_code, after.status_code) == (status, 200)
    assert reason in refused.json()["detail"]


async def test_a_key_is_required(world: SubmissionWorld, client: httpx.AsyncClient) -> None:
    for headers in (
        {"Authorization": ""}, bearer(world.tokens["Ministry"][:-1] + "?"), bearer("sub_nonsense"),
    ):  # fmt: skip
        sent = await client.post("/submissions", json=INITIATIVE, headers=headers)
        assert codes(sent, await client.get("/submissions", headers=headers)) == [401, 401]


async def test_two_people_change_one_record_and_the_second_sees_the_difference(
    client: httpx.AsyncClient,
) -> None:
    path = f"/submissions/{(await submitted(client))['id']}"
    match = {"If-Match": (await client.get(path)).headers["ETag"]}

    first, second = [
        await client.put(path, json={**INITIATIVE, "goal": [goal]}, headers=match) for goal in "59"
    ]

    assert (first.status_code, first.headers["ETag"]) == (200, '"2"')
    assert (second.status_code, second.headers["ETag"]) == (412, '"2"')
    assert second.json()["differences"] == {"goal": {"before": ["5"], "after": ["9"]}}
    assert (await client.get(path)).json()["content"]["goal"] == ["5"]


async def test_a_change_needs_its_version_and_what_was_withdrawn_keeps_no_content(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    id = (await submitted(client))["id"]
    path, second = f"/submissions/{id}", {"If-Match": '"2"'}
    # Another organization does not see the submission.
    other = {**bearer(world.tokens["University"]), "If-Match": '"1"'}
    answers = [
        await client.get(path, headers=other),
        await client.put(path, json=INITIATIVE, headers=other),
        await client.delete(path, headers=other),
    ]
    assert codes(*answers) == [404, 404, 404]
    assert (await client.get("/submissions", headers=other)).json() == []
    without = await client.put(path, json=INITIATIVE), await client.delete(path)

    answer = await change(client, id, None)

    after = [await client.delete(path, headers=second), await client.put(path, json=INITIATIVE, headers=second)]  # fmt: skip
    assert codes(*without, *after) == [428, 428, 409, 409]
    assert (answer.json()["state"], answer.json()["content"]) == ("withdrawn", {})
    assert stored(world, "telecentres") == []


async def test_likely_duplicates_are_in_the_answer_if_they_are_published(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    alike: dict[str, Any] = {"title": {"en": "village TELECENTRES"}, "page": []}
    first, hidden = await submitted(client), await submitted(client, **alike)
    world.accept(first["id"])

    (duplicate,) = (await submitted(client, **alike))["duplicates"]

    assert hidden["duplicates"] == []
    assert duplicate["address"] == f"{BASE}record/submissions/{first['id']}"
    assert (duplicate["title"], duplicate["why"]) == ("Village telecentres", "title")


async def test_a_person_confirms_an_address_once(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    anonymous, path = {"Authorization": ""}, "/submissions/confirmations"
    asked = await client.post(path, json={"mail": "Jane@Example.org"}, headers=anonymous)
    link = f"{path}/{world.last_secret()}"

    first, second = [await client.post(link, headers=anonymous) for _ in range(2)]

    token = bearer(first.json()["token"])
    await submitted(client, headers=token)
    assert codes(asked, first, second) == [202, 200, 410]
    assert world.mails()[0][0] == "jane@example.org"
    assert len((await client.get("/submissions", headers=token)).json()) == 1


async def test_a_link_expires_after_a_day_and_a_session_after_twelve_hours(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    await client.post("/submissions/confirmations", json={"mail": "jane@example.org"})
    old = world.last_secret()
    world.clock.advance(timedelta(hours=24))
    expired = await client.post(f"/submissions/confirmations/{old}")
    token = await person(world, client)

    before = await client.get("/submissions", headers=token)
    world.clock.advance(timedelta(hours=12))
    after = await client.get("/submissions", headers=token)

    assert codes(expired, before, after) == [410, 200, 401]


@each(
    "mail",
    ["", "jane", "a@b", "jane@example.org\nBcc: x@example.org", "a b@example.org", "x" * 260 + "@example.org"],
)  # fmt: skip
async def test_what_is_no_address_gets_no_mail(
    world: SubmissionWorld, client: httpx.AsyncClient, mail: str
) -> None:
    answer = await client.post("/submissions/confirmations", json={"mail": mail})

    assert (answer.status_code, world.mails()) == (422, [])


async def test_an_address_gets_three_links_an_hour_and_no_log_line_has_it(
    world: SubmissionWorld, client: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    path, mail = "/submissions/confirmations", {"mail": "jane@example.org"}

    answers = [await client.post(path, json=mail) for _ in range(4)]
    invalid = await client.post(path, json={"mail": "jane@"})

    output = capsys.readouterr()
    assert codes(*answers, invalid) == [202, 202, 202, 429, 422]
    assert len(world.mails()) == 3
    assert "jane" not in output.out + output.err


async def test_a_network_address_is_limited(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    answers = [await client.post("/submissions/check", json=INITIATIVE) for _ in range(61)]
    world.clock.advance(timedelta(minutes=10))
    later = await client.post("/submissions/check", json=INITIATIVE)

    assert codes(*answers[-2:], later) == [200, 429, 200]
    assert int(answers[-1].headers["Retry-After"]) > 0


async def test_a_person_exports_and_deletes_what_is_theirs(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    token = await person(world, client)
    await submitted(client, headers=token)

    exported = (await client.get("/submissions/account", headers=token)).json()
    deleted = await client.delete("/submissions/account", headers=token)

    (item,) = exported["submissions"]
    assert exported["submitter"]["mail"] == "jane@example.org"
    assert (item["title"], len(item["history"])) == ("Village telecentres", 1)
    assert deleted.json() == {"deleted": 1}
    assert (await client.get("/submissions", headers=token)).status_code == 401
    assert (stored(world, "jane"), stored(world, "telecentres")) == ([], [])


async def test_without_a_mail_server_no_address_is_confirmed_and_without_the_source_nothing_is_sent(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    world.context.channels = type(world.context.channels)()
    mail = {"mail": "jane@example.org"}
    unsent = await client.post("/submissions/confirmations", json=mail)
    assert (unsent.status_code, "API key" in unsent.json()["detail"]) == (503, True)
    (world.folder / "sources" / "submissions.toml").unlink()

    answer = await client.post("/submissions", json=INITIATIVE)
    page = await client.get("/submit", headers={"Accept": "text/html"})

    assert answer.status_code == 503
    assert page.status_code == 200
    assert "Nothing can be submitted here" in page.text
    assert "<form" not in page.text.partition("<main")[2]


def stored(world: SubmissionWorld, word: str) -> list[str]:
    with world.ledger.transaction() as connection:
        names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'"))
        tables = {name: connection.execute(text(f'SELECT * FROM "{name}"')).all() for (name,) in names.all()}  # fmt: skip
    return [name for name, rows in tables.items() if word in str(rows).lower()]
