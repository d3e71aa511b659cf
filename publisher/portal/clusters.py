"""The page of a cluster: what its members say, property by property, which one comes first, and
where they disagree.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from http import HTTPStatus
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from languages.translations import TranslatableText, current_locale, gettext
from publisher.linked_data.entities import (
    Entity,
    EntityPage,
    candidates,
    cluster_of,
    find_entity,
    record_of,
)
from publisher.rdf import Term
from publisher.store.descriptions import (
    Description,
    describe_graph,
    describe_thing,
    read_history,
    recent_changes,
)
from publisher.store.query_service import QueryService
from vocab.annotations import cluster_iri, named_member
from vocab.field_changes import FIELD_NAMES
from vocab.schemes import label
from vocab.terms import RDF
from web.respond import HTTPProblem, Link, parse_thing_path, path_segments, require

MAX_MEMBERS = 50  # members whose descriptions are compared
_TYPE = f"{RDF}type"


class ClusterMember(NamedTuple):
    """A member of a cluster: its *description* with that of its record, whose IRI is *record*, ""
    for an organization.
    """

    iri: str
    source: str
    record: str
    description: Description

    def record_date(self, name: str) -> str:
        """Return a date of its record, "" if unknown."""
        return str(self.description.one(name, self.record) or "") if self.record else ""


class MemberValues(NamedTuple):
    """What one member says of a property."""

    member: ClusterMember
    values: tuple[Term, ...]


async def find_cluster(request: Request, service: QueryService) -> tuple[str, Entity] | Response:
    """Return the cluster of a path, or a redirect to the one that has its members now, whose page
    says why they are one thing. Raises HTTPProblem (404, 410).
    """
    parts = path_segments(request)
    parse_thing_path(parts)
    try:
        cluster = await find_entity(request, service, describe_graph, 4)
    except HTTPProblem:  # no cluster has this address
        return await _redirect_to_members(service, "/".join(parts))
    if replacement := cluster.description.one("dct:isReplacedBy"):
        return _redirect(service, replacement.value, cluster.suffix)
    return "cluster", cluster


async def _redirect_to_members(service: QueryService, path: str) -> Response:
    """Redirect from a cluster that would be named after a member to the one that has it."""
    for name, suffix in candidates(path):
        member = f"{service.iris.base}id/{name}"
        if result := await cluster_of(service, member):
            return _redirect(service, result["cluster"], suffix)
        require(
            not (await read_history(service, cluster_iri(member, service.iris))),
            TranslatableText(
                "This cluster was dissolved: its members are separate things again. {member} is the one after which it was named.",
                member=member,
            ),
            HTTPStatus.GONE,
        )
    raise HTTPProblem(
        HTTPStatus.NOT_FOUND,
        TranslatableText("This cluster doesn't exist: {iri}", iri=f"{service.iris.clusters}{path}"),
    )


def _redirect(service: QueryService, cluster: str, suffix: str | None) -> Response:
    path = quote(cluster.removeprefix(service.iris.base), safe="/%")
    end = f".{suffix}" if suffix else ""
    return Response(
        "The members of this cluster are now in the one at Location, whose page says why they are one thing.\n",
        HTTPStatus.MOVED_PERMANENTLY,
        {"Location": f"/{path}{end}"},
        "text/plain",
    )


def cluster_links(page: EntityPage) -> list[Link]:
    members = page.description.all("prov:hadMember")[:MAX_MEMBERS]
    return [page.cite, *(Link("item", term.value) for term in members)]


async def cluster_values(page: EntityPage) -> dict[str, object]:
    service, description, iris = page.service, page.description, page.service.iris
    all_members = [term.value for term in description.all("prov:hadMember")]
    members = await asyncio.gather(
        *(_read_member(service, member) for member in sorted(all_members)[:MAX_MEMBERS])
    )
    own_names = (cluster_iri(member, iris) for member in all_members)
    return {
        "members": members,
        "names": {member.iri: _name(member.description) for member in members},
        "total": len(all_members),
        "compared": [
            (_label(item["predicate"], iris.base), item) for item in compare_members(members)
        ],
        "matches": read_matches(description),
        "others": [name for name in own_names if name != description.iri],
        "named": named_member(description.iri, iris),
        "changes": recent_changes(await read_history(service, description.iri), description, iris),
    }


def _name(member: Description) -> str:
    terms = [*member.all("dct:title"), *member.all("skos:prefLabel")]
    rank = {"en": 0, None: 1}
    names = sorted((rank.get(term.language, 2), term.value) for term in terms)
    return names[0][1] if names else member.iri


def _label(predicate: str, base: str) -> str:
    known = FIELD_NAMES.get(predicate)
    name = gettext(known) if known else label(predicate, current_locale().language, base)
    name = name or predicate.rpartition("/")[2].rpartition("#")[2]
    return name[:1].upper() + name[1:]


async def _read_member(service: QueryService, member: str) -> ClusterMember:
    source, record = member.split("/")[-2], record_of(member, service.iris)
    description = await (
        describe_graph(service, record, member) if record else describe_thing(service, member)
    )
    return ClusterMember(member, source, record, description)


def compare_members(members: Sequence[ClusterMember]) -> list[dict[str, Any]]:
    """Return each property of the members, the best known first: what each member that states it
    *says*, the preferred one first by *rules*, and whether they *disagree*.
    """
    stated = defaultdict[str, dict[str, list[Term]]](dict)
    for member in members:
        for statement in member.description.statements:
            if statement.subject == member.iri and statement.predicate != _TYPE:
                values = stated[statement.predicate].setdefault(member.iri, [])
                values.append(statement.object)
    ranks = {name: rank for rank, name in enumerate(FIELD_NAMES)}
    stated_by = {
        name: [
            MemberValues(member, tuple(stated[name][member.iri]))
            for member in members
            if member.iri in stated[name]
        ]
        for name in sorted(stated, key=lambda name: (ranks.get(name, len(ranks)), name))
    }
    return [
        {
            "predicate": name,
            "says": sort_by_precedence(members[0].description.short(name), says),
            "rules": precedence(members[0].description.short(name)),
            "disagree": _disagree([item.values for item in says]),
        }
        for name, says in stated_by.items()
        if not all(_is_part(value, item.member) for item in says for value in item.values)
    ]


def _is_part(term: Term, member: ClusterMember) -> bool:
    """Return whether a value is a part of the record, such as a place, which has no name of its
    own.
    """
    node, hash_, _ = term.value.partition("#")
    return term.is_iri and hash_ != "" and node in (member.iri, member.record)


def _disagree(values: Sequence[tuple[Term, ...]]) -> bool:
    """Return whether two members have no common value, in a language that both have."""
    spoken = []
    for terms in values:
        texts = defaultdict[str | None, set[str]](set)
        for term in terms:
            text = term.value if term.is_iri else " ".join(term.value.casefold().split())
            texts[term.language].add(text)
        spoken.append(texts)
    return any(
        one[language].isdisjoint(other[language])
        for one, other in combinations(spoken, 2)
        for language in one.keys() & other.keys()
    )


# By these the largest comes first, but for "first".
_RULES: Mapping[str, Callable[[MemberValues], tuple[int, str]]] = {
    "first": lambda item: (0, item.member.record_date("dct:issued") or "9"),
    "longest": lambda item: (max(len(term.value) for term in item.values), ""),
    "most": lambda item: (len(item.values), ""),
    "newest": lambda item: (0, item.member.record_date("dct:modified")),
}


def sort_by_precedence(name: str, says: Iterable[MemberValues]) -> list[MemberValues]:
    """Return the values of the property *name*, such as ``dct:title``, that members state, by the
    rules of ``precedence.toml``.
    """
    ordered = sorted(says, key=lambda item: item.member.iri)
    for rule in reversed(precedence(name)):
        ordered.sort(key=_RULES[rule], reverse=rule != "first")
    return ordered


def precedence(name: str) -> list[str]:
    rules = _read_rules()
    return list(rules["properties"].get(name, rules["default"]))


@cache
def _read_rules() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("precedence.toml").read_text(encoding="utf-8"))


def read_matches(cluster: Description) -> list[dict[str, Any]]:
    """Return why the members of a cluster are one thing, in the order of their IRIs: *features* that
    agree, or a person's *reason* and when it was *decided*.
    """
    matches = [
        {
            "first": str(cluster.one("owl:annotatedSource", axiom)),
            "second": str(cluster.one("owl:annotatedTarget", axiom)),
            "features": [str(term) for term in cluster.all("wsis:matchedBy", axiom)],
            "decided": cluster.one("sssom:mapping_date", axiom),
            "reason": cluster.one("rdfs:comment", axiom),
        }
        for axiom in cluster.subjects("dct:isPartOf", cluster.iri)
    ]
    return sorted(matches, key=lambda match: (match["first"], match["second"]))
