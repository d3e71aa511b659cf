"""Describe clusters: the initiatives or organizations of several registries that are one thing, and
why.

Members keep their own graphs and IRIs; a cluster only refers to them, so removing its graph
restores what was before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from vocab.iris import Iris
from vocab.terms import DCT, OWL, PROV, RDF, RDFS, SEMAPV, SKOS, SSSOM, instant, literal

_MEMBER = f" <{PROV}hadMember> <"


@dataclass(frozen=True, slots=True)
class Match:
    """Why two members, given by their IRIs, are one thing.

    *features* are the names of what agrees. *decided* is when a person decided it, in UTC, and None
    if the score did; *reason* is that person's. *id* is a short name for the pair.
    """

    id: str
    first: str
    second: str
    features: tuple[str, ...]
    decided: datetime | None = None
    reason: str = ""


def cluster_iri(member: str, iris: Iris) -> str:
    """Return the IRI of the cluster that is named after *member*, the IRI of an initiative or
    organization.

    >>> cluster_iri("https://x.org/id/initiative/a/1", Iris("https://x.org/"))
    'https://x.org/cluster/initiative/a/1'
    """
    return iris.clusters + member.removeprefix(f"{iris.base}id/")


def named_member(cluster: str, iris: Iris) -> str:
    """Return the IRI of the member after which a cluster is named."""
    return f"{iris.base}id/{cluster.removeprefix(iris.clusters)}"


def describe_cluster(
    cluster: str, members: Iterable[str], matches: Iterable[Match], iris: Iris
) -> list[str]:
    """Return the statements about a cluster, sorted: its members (PROV), and each match as an axiom
    of SSSOM.

    Sources: https://www.w3.org/TR/prov-o/#Collection,
    https://mapping-commons.github.io/sssom/spec-formats-owl/. Who decided is not published.
    """
    statements = [
        f"<{cluster}> <{RDF}type> <{iris.ns}Cluster>",
        f"<{cluster}> <{RDF}type> <{PROV}Collection>",
    ]
    statements += [f"<{cluster}> <{PROV}hadMember> <{member}>" for member in members]
    for match in matches:
        axiom = f"<{cluster}#match-{match.id}>"
        justification = "CompositeMatching" if match.decided is None else "ManualMappingCuration"
        statements += [
            f"{axiom} <{RDF}type> <{OWL}Axiom>",
            f"{axiom} <{DCT}isPartOf> <{cluster}>",
            f"{axiom} <{OWL}annotatedSource> <{match.first}>",
            f"{axiom} <{OWL}annotatedProperty> <{SKOS}exactMatch>",
            f"{axiom} <{OWL}annotatedTarget> <{match.second}>",
            f"{axiom} <{SSSOM}mapping_justification> <{SEMAPV}{justification}>",
            *(f"{axiom} <{iris.ns}matchedBy> {literal(name)}" for name in match.features),
            *([f"{axiom} <{SSSOM}mapping_date> {instant(match.decided)}"] if match.decided else []),
            *([f"{axiom} <{RDFS}comment> {literal(match.reason)}"] if match.reason else []),
        ]
    return sorted(set(statements))


def cluster_members(description: str) -> list[str]:
    """Return the IRIs of the members in the description of a cluster, one statement a line."""
    return [line.partition(_MEMBER)[2][:-1] for line in description.split("\n") if _MEMBER in line]


def describe_replaced(cluster: str, replacement: str, iris: Iris) -> list[str]:
    """Return the statements about a cluster whose naming member does not exist any more: what
    replaces it.
    """
    return [
        f"<{cluster}> <{RDF}type> <{iris.ns}Cluster>",
        f"<{cluster}> <{DCT}isReplacedBy> <{replacement}>",
    ]
