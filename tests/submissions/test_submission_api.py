"""Submissions by HTTP: who may send what, what is answered, and what two people do at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import text

from harvesters.participation.submissions import moderation
from vocab.iris import BASE

from .conftest import INITIATIVE, SubmissionWorld, bearer

TURTLE = """@prefix dct: <http://purl.org/dc/terms/> . @prefix wsis: <https://w3id.org/wsis-stocktaking/ns#> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> .
<> a wsis:Initiative ; dct:title "Village telecentres"@en, "Télécentres"@fr ; dct:publisher [ foaf:name "Ministry of Information" ] ;
  wsis:goal <http://metadata.un.org/sdg/4> ; wsis:actionLine <https://w3id.org/wsis-stocktaking/scheme/action-line/C4> ."""


async def submitted(client: httpx.AsyncClient, **changed: Any) -> dict[str, Any]:
    answer = await client.post("/submissions", json={**INITIATIVE, **changed})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_submission_by_json_waits_for_a_moderator(client: httpx.AsyncClient) -> None:
    answer = await client.post("/submissions", json=INITIATIVE)

    body = answer.json()
    assert (answer.status_code, body["state"], body["version"], answer.headers["ETag"]) == (
        201,
        "submitted",
        1,
        '"1"',
    )
    assert answer.headers["Location"] == f"/submissions/{body['id']}"
    assert body["content"]["publisher"] == {"name": "Ministry of Information"}
    assert body["record"] is None


async def test_published_json_can_be_sent_back(client: httpx.AsyncClient) -> None:
    published = {
        "@context": f"{BASE}context.jsonld", "id": f"{BASE}id/initiative/kenya/p1", "type": "Initiative",
        "title": {"en": "Village telecentres"}, "goal": ["http://metadata.un.org/sdg/4"], "actionLine": [f"{BASE}scheme/action-line/C4"],
        "country": ["http://metadata.un.org/sdg/codes/geoArea/404"],
        "publisher": [{"id": f"{BASE}id/organization/kenya/m", "type": "Organization", "name": {"en": "Ministry"}}],
        "claims": [{"id": "x", "type": "Claim"}], "record": {"id": f"{BASE}record/kenya/p1"},
    }  # fmt: skip

    answer = await client.post(
        "/submissions",
        content=orjson.dumps(published),
        headers={"Content-Type": "application/ld+json"},
    )

    assert answer.status_code == 201, answer.text
    assert answer.json()["content"]["actionLine"] == ["C4"]


async def test_turtle_and_json_ld_say_the_same(client: httpx.AsyncClient) -> None:
    ld = {
        "@context": {"dct": "http://purl.org/dc/terms/", "wsis": f"{BASE}ns#"}, "@type": "wsis:Initiative",
        "dct:title": [{"@value": "Village telecentres", "@language": "en"}, {"@value": "Télécentres", "@language": "fr"}],
        "dct:publisher": "Ministry of Information", "wsis:goal": {"@id": "http://metadata.un.org/sdg/4"},
        "wsis:actionLine": {"@id": f"{BASE}scheme/action-line/C4"},
    }  # fmt: skip

    turtle = await client.post(
        "/submissions/check", content=TURTLE.encode(), headers={"Content-Type": "text/turtle"}
    )
    json_ld = await client.post(
        "/submissions/check",
        content=orjson.dumps(ld),
        headers={"Content-Type": "application/ld+json"},
    )

    assert turtle.json()["content"] == json_ld.json()["content"]
    assert turtle.json()["content"]["title"] == {"en": "Village telecentres", "fr": "Télécentres"}
    assert turtle.json()["content"]["publisher"] == {"name": "Ministry of Information"}


async def test_a_violation_is_named_by_its_member(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/submissions",
        json={"type": "Initiative", "country": ["KE"]},
        headers={"Accept-Language": "fr"},
    )

    violations = [item for item in answer.json()["results"] if item["severity"] == "Violation"]
    assert answer.status_code == 422
    assert [(item["member"], item["message"], item["rule"]) for item in violations] == [
        ("title", "Il n'y a pas de titre.", "ResourceTitle")
    ]


async def test_an_unknown_goal_is_a_warning_beside_its_member(client: httpx.AsyncClient) -> None:
    body = await submitted(client, goal=["4", "nonsense"])

    assert [item["message"] for item in body["results"] if item["member"] == "goal"] == [
        "“nonsense” is not known here; it would become a topic."
    ]


HOSTILE = [
    ({"titel": {"en": "x"}}, "titel"),
    ({"title": ["x"]}, "title"),
    ({"title": {"en": "x" * 301}}, "title"),
    ({"title": "no language"}, "title"),
    ({"goal": [{"a": {"b": []}}]}, "goal"),
    ({"goal": [True]}, "goal"),
    ({"goal": ["4"] * 51}, "goal"),
    ({"page": ["javascript:alert(1)"]}, "page"),
    ({"license": "CC BY"}, "license"),
    ({"start": "yesterday"}, "start"),
    ({"place": {"lat": "91", "long": "0"}}, "place"),
    ({"place": {"lat": "1e999", "long": "0"}}, "place"),
    ({"publisher": f"{BASE}id/organization/kenya/m"}, "publisher"),
    ({"why": "because"}, "why"),
    ({"venue": {"en": "Geneva"}}, "venue"),
    ({"registration": "https://register.example/"}, "registration"),  # of events only
    ({"type": "Event", "registration": "javascript:alert(1)"}, "registration"),
]


@pytest.mark.parametrize(("changed", "member"), HOSTILE, ids=lambda value: str(value)[:40])
async def test_a_hostile_member_is_refused_by_name(
    client: httpx.AsyncClient, changed: dict[str, Any], member: str
) -> None:
    answer = await client.post("/submissions", json={**INITIATIVE, **changed})

    assert (answer.status_code, [item["member"] for item in answer.json()["results"]]) == (
        422,
        [member],
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1]", b"null", b"\xff\xfe", b"[" * 5_000, b'{"type": "Person"}', b'"\\ud800"'],
)
async def test_a_body_that_is_no_record_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post(
        "/submissions", content=body, headers={"Content-Type": "application/json"}
    )

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


async def test_a_body_of_ten_megabytes_is_413(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/submissions", content=b"x" * 10_000_000, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 413


NESTED = '<a> <b> "two\nlines" , ' + "<<(<a><a>" * 21_500 + "<a>" + ")>>" * 21_500 + " ."
CHAIN = {"p": "t1:a"} | {f"t{n}": f"t{n + 1}:" for n in range(12_000)} | {"t12000": "http://a/"}
SCOPED = {"p": {"@id": "http://a/p", "@context": {f"t{n}": f"http://a/{n}" for n in range(3_000)}}}
# a name of 100,000 characters, which would be written 20,000 times
REPEATED = (
    f"{TURTLE} ; wsis:partner {', '.join(['_:b'] * 20_000)} . _:b foaf:name '{'a' * 100_000}' ."
)


@pytest.mark.parametrize(
    ("body", "media", "reason"),
    [
        (NESTED.encode(), "text/turtle", "triple terms are nested more than 100 deep"),
        (orjson.dumps({"@context": CHAIN, "p": "a"}), "application/ld+json", "defined by each other"),
        (orjson.dumps({"@context": SCOPED, "p": ["a"] * 9_000}), "application/ld+json", "definitions of terms"),
        (b"[" * 900 + b"]" * 900, "application/json", "nested more than 254 deep"),
        (REPEATED.replace("C4> . ;", "C4> ;").encode(), "text/turtle", "0.5 GiB"),
    ],
    ids=["triple terms", "chain of contexts", "scoped context", "lists", "memory"],
)  # fmt: skip
async def test_a_document_that_costs_too_much_is_400_and_ends_nothing(
    body: bytes, media: str, reason: str, client: httpx.AsyncClient
) -> None:
    refused = await client.post("/submissions/check", content=body, headers={"Content-Type": media})
    after = await client.post("/submissions/check", json=INITIATIVE)

    assert (refused.status_code, after.status_code) == (400, 200)
    assert reason in refused.json()["detail"]


async def test_another_media_type_is_415(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/submissions", content=b"<rdf/>", headers={"Content-Type": "application/rdf+xml"}
    )

    assert (answer.status_code, "text/turtle" in answer.json()["detail"]) == (415, True)


async def test_a_remote_context_is_never_fetched(client: httpx.AsyncClient) -> None:
    document = {"@context": "https://evil.example/context", "@type": "x"}

    answer = await client.post(
        "/submissions",
        content=orjson.dumps(document),
        headers={"Content-Type": "application/ld+json"},
    )

    assert (answer.status_code, "evil.example/context" in answer.json()["detail"]) == (400, True)


async def test_a_key_is_required(world: SubmissionWorld, client: httpx.AsyncClient) -> None:
    nobody = await client.post("/submissions", json=INITIATIVE, headers={"Authorization": ""})
    mistyped = await client.post(
        "/submissions", json=INITIATIVE, headers=bearer(world.tokens["Ministry"][:-1] + "?")
    )
    no_session = await client.get("/submissions", headers=bearer("sub_nonsense"))

    assert [answer.status_code for answer in (nobody, mistyped, no_session)] == [401, 401, 401]


async def test_another_organization_sees_nothing(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    id = (await submitted(client))["id"]
    other = bearer(world.tokens["University"])

    answers = [
        await client.get(f"/submissions/{id}", headers=other),
        await client.put(
            f"/submissions/{id}", json=INITIATIVE, headers={**other, "If-Match": '"1"'}
        ),
        await client.delete(f"/submissions/{id}", headers={**other, "If-Match": '"1"'}),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert (await client.get("/submissions", headers=other)).json() == []


async def test_two_people_change_one_record_and_the_second_sees_the_difference(
    client: httpx.AsyncClient,
) -> None:
    id = (await submitted(client))["id"]
    read = await client.get(f"/submissions/{id}")
    match = {"If-Match": read.headers["ETag"]}

    first = await client.put(
        f"/submissions/{id}", json={**INITIATIVE, "goal": ["5"]}, headers=match
    )
    second = await client.put(
        f"/submissions/{id}", json={**INITIATIVE, "goal": ["9"]}, headers=match
    )

    assert (
        first.status_code,
        first.headers["ETag"],
        second.status_code,
        second.headers["ETag"],
    ) == (200, '"2"', 412, '"2"')
    assert second.json()["differences"] == {"goal": {"before": ["5"], "after": ["9"]}}
    assert (await client.get(f"/submissions/{id}")).json()["content"]["goal"] == ["5"]


async def test_a_change_without_its_version_is_428(client: httpx.AsyncClient) -> None:
    id = (await submitted(client))["id"]

    answers = [
        await client.put(f"/submissions/{id}", json=INITIATIVE),
        await client.delete(f"/submissions/{id}"),
    ]

    assert [answer.status_code for answer in answers] == [428, 428]


async def test_what_was_withdrawn_keeps_no_content(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    id = (await submitted(client))["id"]

    answer = await client.delete(f"/submissions/{id}", headers={"If-Match": '"1"'})

    again = await client.delete(f"/submissions/{id}", headers={"If-Match": '"2"'})
    changed = await client.put(f"/submissions/{id}", json=INITIATIVE, headers={"If-Match": '"2"'})
    assert (
        answer.json()["state"],
        answer.json()["content"],
        again.status_code,
        changed.status_code,
    ) == ("withdrawn", {}, 409, 409)
    assert stored(world, "telecentres") == []


async def test_likely_duplicates_are_in_the_answer_if_they_are_published(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    first = await submitted(client)
    hidden = await submitted(client, title={"en": "village TELECENTRES"}, page=[])
    moderation.accept(
        world.context.admin,
        world.keys["Grace"],
        moderation.find(world.context.admin, first["id"]),
        "",
    )

    second = await submitted(client, title={"en": "village TELECENTRES"}, page=[])

    assert hidden["duplicates"] == []
    (duplicate,) = second["duplicates"]
    record = f"{BASE}record/submissions/{first['id']}"
    assert (duplicate["address"], duplicate["title"], duplicate["why"]) == (
        record,
        "Village telecentres",
        "title",
    )


async def test_a_person_confirms_an_address_once(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    anonymous = {"Authorization": ""}
    sent = await client.post(
        "/submissions/confirmations", json={"mail": "Jane@Example.org"}, headers=anonymous
    )
    secret = world.last_secret()

    first = await client.post(f"/submissions/confirmations/{secret}", headers=anonymous)
    second = await client.post(f"/submissions/confirmations/{secret}", headers=anonymous)

    token = bearer(first.json()["token"])
    created = await client.post("/submissions", json=INITIATIVE, headers=token)
    assert (sent.status_code, first.status_code, second.status_code, created.status_code) == (
        202,
        200,
        410,
        201,
    )
    assert world.mails()[0][0] == "jane@example.org"
    assert len((await client.get("/submissions", headers=token)).json()) == 1


async def test_a_link_expires_after_a_day_and_a_session_after_twelve_hours(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    await client.post("/submissions/confirmations", json={"mail": "jane@example.org"})
    old = world.last_secret()
    world.clock.advance(timedelta(hours=24))
    expired = await client.post(f"/submissions/confirmations/{old}")
    await client.post("/submissions/confirmations", json={"mail": "jane@example.org"})
    token = bearer(
        (await client.post(f"/submissions/confirmations/{world.last_secret()}")).json()["token"]
    )

    before = await client.get("/submissions", headers=token)
    world.clock.advance(timedelta(hours=12))
    after = await client.get("/submissions", headers=token)

    assert [answer.status_code for answer in (expired, before, after)] == [410, 200, 401]


@pytest.mark.parametrize(
    "mail",
    ["", "jane", "a@b", "jane@example.org\nBcc: x@example.org", "a b@example.org", "x" * 260 + "@example.org"],
)  # fmt: skip
async def test_what_is_no_address_gets_no_mail(
    world: SubmissionWorld, client: httpx.AsyncClient, mail: str
) -> None:
    answer = await client.post("/submissions/confirmations", json={"mail": mail})

    assert (answer.status_code, world.mails()) == (422, [])


async def test_an_address_gets_three_links_an_hour(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    answers = [
        await client.post("/submissions/confirmations", json={"mail": "jane@example.org"})
        for _ in range(4)
    ]

    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert len(world.mails()) == 3


async def test_a_network_address_is_limited(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    answers = [await client.post("/submissions/check", json=INITIATIVE) for _ in range(61)]
    world.clock.advance(timedelta(minutes=10))
    later = await client.post("/submissions/check", json=INITIATIVE)

    assert [answers[-2].status_code, answers[-1].status_code, later.status_code] == [200, 429, 200]
    assert int(answers[-1].headers["Retry-After"]) > 0


async def test_a_person_exports_and_deletes_what_is_theirs(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    await client.post("/submissions/confirmations", json={"mail": "jane@example.org"})
    token = bearer(
        (await client.post(f"/submissions/confirmations/{world.last_secret()}")).json()["token"]
    )
    await client.post("/submissions", json=INITIATIVE, headers=token)

    exported = (await client.get("/submissions/account", headers=token)).json()
    deleted = await client.delete("/submissions/account", headers=token)

    assert exported["submitter"]["mail"] == "jane@example.org"
    assert [(item["title"], len(item["history"])) for item in exported["submissions"]] == [
        ("Village telecentres", 1)
    ]
    assert (deleted.json(), (await client.get("/submissions", headers=token)).status_code) == (
        {"deleted": 1},
        401,
    )
    assert (stored(world, "jane"), stored(world, "telecentres")) == ([], [])


async def test_without_the_source_nothing_can_be_submitted(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    (world.folder / "sources" / "submissions.toml").unlink()

    answer = await client.post("/submissions", json=INITIATIVE)
    page = await client.get("/submit", headers={"Accept": "text/html"})

    assert answer.status_code == 503
    assert page.status_code == 200
    assert "Nothing can be submitted here" in page.text
    assert "<form" not in page.text.partition("<main")[2]


async def test_without_a_mail_server_an_address_cannot_be_confirmed(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    world.context.admin.channels = type(world.context.admin.channels)()

    answer = await client.post("/submissions/confirmations", json={"mail": "jane@example.org"})

    assert (answer.status_code, "API key" in answer.json()["detail"]) == (503, True)


async def test_no_log_line_has_an_address(
    client: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    await client.post("/submissions/confirmations", json={"mail": "jane@example.org"})
    await client.post("/submissions/confirmations", json={"mail": "jane@"})

    output = capsys.readouterr()

    assert "jane" not in output.out + output.err


def stored(world: SubmissionWorld, word: str) -> list[str]:
    """Return the tables of the ledger in which a row has *word*."""
    results = []
    with world.ledger.transaction() as connection:
        names = [
            row[0]
            for row in connection.execute(
                text("SELECT name FROM sqlite_master WHERE type = 'table'")
            )
        ]
        for name in names:
            if any(
                word in str(row).lower()
                for row in connection.execute(text(f'SELECT * FROM "{name}"'))
            ):
                results.append(name)
    return results
