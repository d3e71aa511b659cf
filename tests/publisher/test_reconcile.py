"""The reconciliation service keeps its specification, knows names in six languages, and has an
answer to whatever is sent.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import jsonschema
import reconciliation_schemas as schemas
from rows import each
from small_world import IRIS, KENYA

GOAL = "http://metadata.un.org/sdg/4"
CLINICS = f"{IRIS.base}id/initiative/demo/a%2F1"
MINISTRY = f"{IRIS.base}id/organization/demo/ministry-of-health"
COUNTRIES = {
    "en": "Kenya", "fr": "Kenya", "es": "Kenia", "ru": "Кения", "zh": "肯尼亚", "ar": "كينيا",
}  # fmt: skip
GOALS = {
    "en": "Quality education", "fr": "Éducation de qualité", "es": "Educación de calidad",
    "ru": "Качественное образование", "zh": "优质教育", "ar": "تعليم ذو جودة",
}  # fmt: skip


async def match(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    """Send one query and return its candidates."""
    answer = await client.post("/reconcile", data={"queries": json.dumps({"q0": query})})
    assert answer.status_code == 200, answer.text
    jsonschema.validate(answer.json(), schemas.RESULTS)
    result: list[dict[str, Any]] = answer.json()["q0"]["result"]
    return result


async def fetch(
    client: httpx.AsyncClient, path: str, schema: schemas.Schema, **parameters: str
) -> Any:
    answer = await client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    jsonschema.validate(answer.json(), schema)
    return answer.json()


async def extension(
    client: httpx.AsyncClient, ids: list[str], *properties: str, language: str = "en"
) -> dict[str, Any]:
    query = {"ids": ids, "properties": [{"id": name} for name in properties]}
    answer = await client.post(
        "/reconcile", data={"extend": json.dumps(query)}, headers={"Accept-Language": language}
    )
    assert answer.status_code == 200, answer.text
    jsonschema.validate(answer.json(), schemas.EXTENSION)
    result: dict[str, Any] = answer.json()
    return result


async def test_the_manifest_is_valid_and_its_addresses_are_of_this_host(
    client: httpx.AsyncClient,
) -> None:
    manifest = await fetch(client, "/reconcile", schemas.MANIFEST)

    assert manifest["versions"] == ["0.2"]
    assert [item["id"] for item in manifest["defaultTypes"]] == [
        "organization", "initiative", "country", "goal", "target", "action-line",
    ]  # fmt: skip
    assert manifest["preview"]["url"].startswith(str(client.base_url).rstrip("/"))


@each("names, kind, iri", [(COUNTRIES, "country", KENYA), (GOALS, "goal", GOAL)])
async def test_a_concept_is_found_by_its_name_in_each_language(
    client: httpx.AsyncClient, names: dict[str, str], kind: str, iri: str
) -> None:
    for name in names.values():
        [first, *_] = await match(client, query=name, type=kind)

        assert (first["id"], first["match"], first["score"]) == (iri, True, 100), name


@each(
    "text, kind, iri",
    [("KEN", "country", KENYA), ("kenia", "country", KENYA), ("SDG 4", "goal", GOAL), ("4.4", "target", f"{GOAL}.4"),
     ("C7 e-health", "action-line", f"{IRIS.base}scheme/action-line/C7-ehea"),
     ("Télémédecine pour les cliniques isolées", "initiative", CLINICS), ("ministry of HEALTH", "organization", MINISTRY),
     (MINISTRY, "organization", MINISTRY), (KENYA, "country", KENYA)],
)  # fmt: skip
async def test_a_code_a_name_or_an_identifier_matches(
    client: httpx.AsyncClient, text: Any, kind: str, iri: Any
) -> None:
    [first, *_] = await match(client, query=text, type=[kind])

    assert (first["id"], first["match"]) == (iri, True)


@each(
    "text, kind, iri",
    [("Keniya", "country", KENYA), ("Minstry of Helth", "organization", MINISTRY), ("Health Ministry", "organization", MINISTRY),
     ("Telemedicine for remote clinic", "initiative", CLINICS), ("Telemedicine", "initiative", CLINICS)],
)  # fmt: skip
async def test_a_similar_name_is_a_candidate_and_no_match(
    client: httpx.AsyncClient, text: str, kind: str, iri: Any
) -> None:
    [first, *_] = await match(client, query=text, type=kind)

    assert (first["id"], first["match"]) == (iri, False)
    assert first["features"][0] == {"id": "name", "value": first["score"]}


async def test_without_a_type_all_types_are_searched_and_with_one_by_as_few_letters_as_count(
    client: httpx.AsyncClient,
) -> None:
    candidates = await match(client, query="Ministry of Health")
    short = await match(client, query="Nig", type="country", limit=20)

    assert candidates[0]["id"] == MINISTRY
    assert candidates[0]["type"] == [{"id": "organization", "name": "Organization"}]
    assert [item["score"] for item in short if item["name"] == "Niger"] == [75]


async def test_namesakes_are_no_match_until_a_property_decides(client: httpx.AsyncClient) -> None:
    by_name = await match(client, query="Community network 1", type="initiative", limit=3)
    name = "Telemedicine for remote clinics"
    here, elsewhere = [
        await match(client, query=name, properties=[{"pid": "country", "v": country}])
        for country in ("Kenia", {"id": "404x"})
    ]

    assert len(by_name) == 3
    assert here[0]["match"] is True
    assert {"id": "country", "value": True} in here[0]["features"]
    assert elsewhere[0]["match"] is False
    assert elsewhere[0]["score"] < here[0]["score"]


async def test_properties_without_a_name_select_things(client: httpx.AsyncClient) -> None:
    wanted = [{"pid": "goal", "v": ["Quality education"]}]
    candidates = await match(client, properties=wanted, type="initiative", limit=50)

    assert candidates
    assert all({"id": "goal", "value": True} in item["features"] for item in candidates)
    assert not any(item["match"] for item in candidates)


HOSTILE_NAMES = [
    *("", " ", "a", "Я", "\x00\x01\x02", "\u202e\u200f", "水" * 5_000, "x" * 200_000),
    *("Ω क ม 한 ع", '"', "*", "-a OR", "'; DROP TABLE x", "\ud83d\ude00"),
]


@each("name", HOSTILE_NAMES)
async def test_a_hostile_name_has_candidates_or_none(client: httpx.AsyncClient, name: str) -> None:
    candidates = await match(client, query=name)

    assert not any(item["match"] for item in candidates)


async def test_a_thousand_queries_are_a_batch_and_more_or_a_megabyte_are_refused(
    client: httpx.AsyncClient,
) -> None:
    batch, large = (
        {f"q{n}": {"query": "Kenya", "type": "country"} for n in range(count)}
        for count in (1_000, 10_000)
    )
    long = {"q": {"query": "y" * (1 << 20)}}

    answer, refused, too_long = [
        await client.post("/reconcile", data={"queries": json.dumps(queries)})
        for queries in (batch, large, long)
    ]
    as_json = await client.post("/reconcile", json={"q0": {"query": "Kenya"}})
    by_get = {"queries": json.dumps({"q0": {"query": "Kenya", "type": "country"}})}
    elsewhere = {"Origin": "https://elsewhere.example"}
    got = await client.get("/reconcile", params=by_get, headers=elsewhere)

    assert {item["result"][0]["id"] for item in answer.json().values()} == {KENYA}
    assert len(answer.json()) == 1_000
    assert "10000 items; send at most 1000" in refused.json()["detail"]
    assert [item.status_code for item in (refused, too_long, as_json)] == [413, 413, 415]
    assert got.json()["q0"]["result"][0]["id"] == KENYA
    assert got.headers["access-control-allow-origin"] == "*"


@each(
    "sent, part",
    [('{"q0": {"query": "Kenya"', "queries: Invalid JSON"), ("[1]", "queries: Input should be"),
     ('{"q0": "Kenya"}', "queries.q0: Input should be"), ('{"q0": {}}', 'queries.q0: it needs a "query" or "properties"'),
     ('{"q0": {"query": 7}}', "queries.q0.query: Input should be a valid string"),
     ('{"q0": {"query": "x", "type": "person"}}', "unknown type 'person'; there are organization"),
     ('{"q0": {"query": "x", "limit": 0}}', "queries.q0.limit: Input should be greater than 0"),
     ('{"q0": {"query": "x", "limits": 3}}', "queries.q0.limits: Extra inputs"),
     ('{"q0": {"query": "x", "type_strict": "maybe"}}', "queries.q0.type_strict: Input should be 'any', 'should' or 'all'"),
     ('{"q0": {"query": "x", "properties": [{"pid": "colour", "v": 1}]}}', "unknown property 'colour'; there are name"),
     ('{"q0": {"query": "x", "properties": [{"pid": "goal"}]}}', "queries.q0.properties.0.v: Field required"),
     ('{"q0": {"query": "x", "properties": [{"pid": "goal", "v": null}]}}', "a value is a string"),
     ({"extend": "{"}, "extend: Invalid JSON"), ({"extend": '{"ids": "x", "properties": []}'}, "extend.ids: Input should be"),
     ({"extend": '{"ids": ["x"], "properties": ["name"]}'}, "extend.properties.0: Input should be"),
     ({"extend": '{"ids": ["x"], "properties": [{"id": "colour"}]}'}, "unknown property 'colour'"),
     ({"extend": "{}", "queries": "{}"}, "not both"), ({}, "needs the field queries or extend")],
)  # fmt: skip
async def test_a_form_that_is_not_valid_is_answered_with_what_is_wrong(
    client: httpx.AsyncClient, sent: str | dict[str, str], part: str
) -> None:
    data = {"queries": sent} if isinstance(sent, str) else sent
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    answer = await client.post("/reconcile", data=data, headers=form)

    assert (answer.status_code, part in answer.json()["detail"]) == (400, True)


async def test_values_of_entities_extend_a_table_in_the_language_of_the_request(
    client: httpx.AsyncClient,
) -> None:
    properties = ("name", "country", "lead", "start", "initiatives", "code", "iso3")

    answer = await extension(client, [CLINICS, MINISTRY, KENYA, "nothing"], *properties)

    rows = answer["rows"]
    assert rows[CLINICS]["lead"] == [{"id": MINISTRY, "name": "Ministry of Health"}]
    assert rows[CLINICS]["country"] == [{"id": KENYA, "name": "Kenya"}]
    assert rows[CLINICS]["start"] == [{"str": "2024-02-01"}]
    assert rows[MINISTRY]["initiatives"] == [{"int": 121}]
    assert (rows[KENYA]["code"], rows[KENYA]["iso3"]) == ([{"str": "404"}], [{"str": "KEN"}])
    assert rows[KENYA]["initiatives"] == [{"int": 121}]
    assert all(values == [] for values in rows["nothing"].values())
    kind = {"id": "organization", "name": "Organization"}
    assert answer["meta"][2] == {"id": "lead", "name": "Lead", "type": kind}
    answer = await extension(client, [CLINICS, KENYA], "name", "country", language="ar")

    assert answer["rows"][KENYA]["name"] == [{"str": "كينيا"}]
    assert answer["rows"][CLINICS]["name"] == [{"str": "التطبيب عن بعد للعيادات النائية"}]
    assert answer["rows"][CLINICS]["country"][0]["name"] == "كينيا"


async def test_names_types_and_properties_are_completed(client: httpx.AsyncClient) -> None:
    countries, things, more, known = [
        (await fetch(client, "/reconcile/suggest/entity", schemas.ENTITIES, **query))["result"]
        for query in (
            {"prefix": "ken"}, {"prefix": "Community netw"}, {"prefix": "Community netw", "cursor": "10"}, {"prefix": CLINICS},
        )
    ]  # fmt: skip

    assert countries[0]["id"] == KENYA
    assert len(things) == len(more) == 10
    assert not {item["id"] for item in things} & {item["id"] for item in more}
    assert [item["id"] for item in known] == [CLINICS]

    types = await fetch(client, "/reconcile/suggest/type", schemas.SUGGESTIONS, prefix="act")
    properties = await fetch(
        client, "/reconcile/suggest/property", schemas.SUGGESTIONS, prefix="iso"
    )
    proposed = await fetch(
        client, "/reconcile/properties", schemas.PROPOSALS, type="country", limit="2"
    )

    assert types["result"] == [{"id": "action-line", "name": "Action line"}]
    assert [item["id"] for item in properties["result"]] == ["iso2", "iso3"]
    assert [item["id"] for item in proposed["properties"]] == ["name", "initiatives"]
    assert (await client.get("/reconcile/properties", params={"type": "person"})).status_code == 400


EVIL = f"{IRIS.base}id/initiative/demo/evil"


@each("what, name", [("entity", CLINICS), ("entity", EVIL), ("type", "goal"), ("property", "lead")])
async def test_a_flyout_is_html_in_json(client: httpx.AsyncClient, what: str, name: str) -> None:
    answer = await fetch(client, f"/reconcile/flyout/{what}", schemas.FLYOUT, id=name)

    assert answer["id"] == name
    assert "<script" not in answer["html"]


async def test_a_preview_may_be_framed_and_other_pages_may_not(client: httpx.AsyncClient) -> None:
    preview = await client.get("/reconcile/preview", params={"id": CLINICS})
    page = await client.get("/about", headers={"Accept": "text/html"})

    assert "Telemedicine for remote clinics" in preview.text
    assert preview.headers["content-security-policy"].endswith("frame-ancestors *")
    assert "x-frame-options" not in preview.headers
    assert page.headers["x-frame-options"] == "DENY"
