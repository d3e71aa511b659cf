"""Problems with records and pages that readers report: what a page takes, and what is public of
them.

The publisher stores none: ``ProblemStore`` is what the command line joins it with, as it joins the
pages with the operators' keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from publisher.rdf.results import Term
from publisher.store.descriptions import Statement
from vocab.iris import Iris
from vocab.terms import DCT, RDF, SCHEMA, XSD

OA = "http://www.w3.org/ns/oa#"
CATEGORIES = (
    "title",
    "description",
    "dates",
    "place",
    "classification",
    "organization",
    "page",
    "duplicate",
    "personal",
    "other",
)
MOST_CHARACTERS = 4000  # of a text
STATES = ("open", "sent", "answered", "fixed")


@dataclass(frozen=True, slots=True)
class PublicProblem:
    """What everybody sees of a problem: no text and no address, since either may name a person.
    Times are ISO 8601 in UTC.

    *state* is one of STATES, *record* the IRI of the record, the source or the page. *run* is the
    id of the run that changed the record, "" if it is not fixed.
    """

    number: int
    record: str
    category: str
    state: str
    created: str
    changed: str
    run: str = ""


class ProblemStore(Protocol):
    """Where problems are kept. Its methods block."""

    def file(
        self, source: str, key: str, category: str, text: str, address: str, language: str
    ) -> int | None:
        """Store a problem with a record; without *key* with the source, without *source* with the
        page of ours at the path *key*.

        Return its number, None if there is no such record or source. Raises StoreBusy if too many
        wait, or none can be stored.
        """

    def find(self, number: int) -> PublicProblem | None:
        """Return what is public of a problem, None if there is none. Raises StoreBusy if it cannot
        be read.
        """


def annotation(problem: PublicProblem, iris: Iris) -> tuple[Statement, ...]:
    """Return a problem as a Web Annotation (https://www.w3.org/TR/annotation-model/): its target is
    the record or page, its body the category.
    """
    return tuple(_statements(problem, iris))


def _statements(problem: PublicProblem, iris: Iris) -> Iterator[Statement]:
    subject = problem_iri(problem.number, iris)
    body = f"{subject}#body"
    yield Statement(subject, f"{RDF}type", Term(f"{OA}Annotation"))
    yield Statement(subject, f"{OA}hasTarget", Term(problem.record))
    yield Statement(subject, f"{OA}hasBody", Term(body))
    yield Statement(subject, f"{OA}motivatedBy", Term(f"{OA}editing"))
    yield Statement(
        subject, f"{DCT}created", Term(problem.created, "literal", None, f"{XSD}dateTime")
    )
    yield Statement(
        subject, f"{DCT}modified", Term(problem.changed, "literal", None, f"{XSD}dateTime")
    )
    yield Statement(subject, f"{SCHEMA}creativeWorkStatus", Term(problem.state, "literal"))
    yield Statement(body, f"{RDF}type", Term(f"{OA}TextualBody"))
    yield Statement(body, f"{RDF}value", Term(problem.category, "literal"))
    yield Statement(body, f"{OA}hasPurpose", Term(f"{OA}tagging"))
    if problem.run:
        yield Statement(
            subject, "http://www.w3.org/ns/prov#wasInfluencedBy", Term(iris.run(problem.run))
        )


def problem_iri(number: int, iris: Iris) -> str:
    """Return the IRI of a problem, at which its page is."""
    return f"{iris.base}problem/{number}"
