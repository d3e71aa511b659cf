"""Validate a submission by the rules of all records, and find records that it may repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harvesters.errors import ParseError
from harvesters.ledger.database import Database
from harvesters.ledger.participation.models import Content
from harvesters.ledger.participation.pictures import has_picture
from harvesters.ledger.participation.submissions import picture_of
from harvesters.mappings.registry import MAPPINGS
from harvesters.page_model import Record
from harvesters.participation.submissions.documents import property_iri
from harvesters.participation.submissions.duplicates import (
    Duplicate,
    DuplicateFinder,
    SubmissionDescription,
)
from harvesters.participation.submissions.model import MEMBERS, title_of
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup
from harvesters.payloads.language_detection import detect_languages
from harvesters.pipeline.record_processor import MAPPING_ERRORS, load_crosswalks
from harvesters.source import Source
from languages.request_locale import current_locale
from languages.translations import gettext
from shapes.result import Result, Severity
from shapes.rules import message
from shapes.validate import validate_many
from vocab.initiative import Resource
from vocab.iris import Iris
from vocab.statements.describe import KIND, describe


@dataclass(frozen=True, slots=True)
class MemberFinding:
    """A fault of a *member*, with its *message* in the language of the request; a Violation
    prevents the publication.
    """

    member: str
    severity: str
    message: str
    rule: str | None = None


def violation(member: str, text: str) -> MemberFinding:
    return MemberFinding(member, Severity.VIOLATION.value, text)


@dataclass(frozen=True, slots=True)
class Check:
    findings: tuple[MemberFinding, ...]
    duplicates: tuple[Duplicate, ...]

    @property
    def is_valid(self) -> bool:
        return all(finding.severity != Severity.VIOLATION.value for finding in self.findings)

    @property
    def violations(self) -> str:
        """Return what prevents the publication, each with its member."""
        return "; ".join(
            f"{finding.member}: {finding.message}"
            for finding in self.findings
            if finding.severity == Severity.VIOLATION.value
        )


def check(
    ledger: Database,
    content: Content,
    key: str,
    source: Source,
    base: str,
    duplicates: DuplicateFinder,
    *,
    unpublished: bool = False,
) -> Check:
    """Return the faults of a submission by member, and the records that it may repeat.

    With *unpublished*, submissions that wait are among these, which moderators alone may see.
    """
    return check_many(ledger, {key: content}, source, base, duplicates, unpublished=unpublished)[
        key
    ]


def check_many(
    ledger: Database,
    contents: Mapping[str, Content],
    source: Source,
    base: str,
    duplicates: DuplicateFinder,
    *,
    unpublished: bool = False,
) -> dict[str, Check]:
    """Return the check of each submission, by its key."""
    crosswalks = load_crosswalks(base)
    mapper = MAPPINGS[source.mapping].prepare(source, crosswalks)
    lexicon = CrosswalkLookup(crosswalks)
    checks: dict[str, Check] = {}
    described: dict[str, tuple[list[str], str]] = {}
    for key, content in contents.items():
        try:
            described[key] = _describe(mapper, content, key, source, base)
        except ParseError as error:
            checks[key] = Check((violation("type", str(error)),), ())
    validated = validate_many([statements for statements, _ in described.values()], base=base)
    for (key, (statements, thing)), results in zip(described.items(), validated, strict=True):
        content = contents[key]
        of_rules = (_finding(result, base) for result in results)
        findings = (*_unknown_words(content, lexicon), *_of_picture(ledger, content), *of_rules)
        own = SubmissionDescription(statements, thing, source.name, key, title_of(content))
        checks[key] = Check(
            tuple(dict.fromkeys(findings)),
            duplicates.find(ledger, own, base, unpublished=unpublished),
        )
    return checks


def _describe(
    mapper: Callable[[Record[Any]], Resource], content: Content, key: str, source: Source, base: str
) -> tuple[list[str], str]:
    """Return the statements that a submission becomes, and the IRI of what it describes. Raises
    ParseError.
    """
    try:
        resource = detect_languages(mapper(Record(key, content, b"")))
        iris = Iris(base)
        return describe(resource, iris, source.name), iris.thing(
            KIND[type(resource)], source.name, key
        )
    except MAPPING_ERRORS as error:
        raise ParseError(
            f"the mapping failed on it ({type(error).__name__}: {error}): this is a bug, please report it"
        ) from error


def _finding(result: Result, base: str) -> MemberFinding:
    text = message(result.shape, current_locale().language, base) or result.message
    return MemberFinding(
        _member(result, base), result.severity.value, text, result.shape.rpartition("#")[2] or None
    )


def _member(result: Result, base: str) -> str:
    by_iri = {property_iri(name, base): name for name in MEMBERS}
    if result.path in by_iri:
        return by_iri[result.path]
    rule = result.shape.rpartition("#")[2].lower()  # a rule about several properties names its own
    named = (name for name in sorted(MEMBERS, key=len, reverse=True) if name.lower() in rule)
    return next(named, "record")


def _unknown_words(content: Content, lexicon: CrosswalkLookup) -> Iterator[MemberFinding]:
    for name in ("actionLine", "goal", "target"):
        words = content.get(name, ())
        arguments = [words if member == name else () for member in ("actionLine", "goal", "target")]
        for word in lexicon.parse_declared(*arguments).unmatched:
            text = gettext("“%(word)s” is not known here; it would become a topic.") % {
                "word": word
            }
            yield MemberFinding(name, Severity.WARNING.value, text)


def _of_picture(ledger: Database, content: Content) -> Iterator[MemberFinding]:
    name = picture_of(content)
    if name is None:
        return
    if not has_picture(ledger, name):
        text = gettext(
            "There is no such picture: it was never sent, or nothing named it for a day. Send it again."
        )
        yield violation("picture", text)
    if not content["picture"].get("caption"):
        text = gettext("Say what the picture shows, for those who cannot see it.")
        yield violation("picture", text)


def differences(before: Content, after: Content) -> dict[str, dict[str, object]]:
    """Return the members that differ, each with its value in both.

    >>> differences({"goal": ["4"], "type": "Event"}, {"goal": ["5"], "type": "Event"})
    {'goal': {'before': ['4'], 'after': ['5']}}
    """
    names = sorted({*before, *after})
    return {
        name: {"before": before.get(name), "after": after.get(name)}
        for name in names
        if before.get(name) != after.get(name)
    }
