"""Functions of SPARQL whose value is a string, a string with language or an IRI, as SQL.

Source: https://www.w3.org/TR/sparql11-query/#func-strings
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from publisher.store.columns.operands import STRINGS, Operand, quote, string
from publisher.store.columns.relations import NotCompiled, fallback
from publisher.store.columns.terms import TermKind
from vocab.terms import XSD

# IRIs that the RDF store neither rejects nor changes
_PLAIN_IRI = r"(?:https?://[a-z0-9.-]+(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?(?:#[A-Za-z0-9_-]*)?|urn:[a-z]+:[A-Za-z0-9_-]+)"
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z]{2})?")


def like(text: Operand, lexical: str) -> Operand:
    """Return the string *lexical* with the language of *text*; an error if that is no string."""
    is_string = f"{text.kind} IN {STRINGS}"
    return Operand(
        f"(CASE WHEN {is_string} THEN {text.kind} END)",
        f"(CASE WHEN {is_string} THEN {lexical} END)",
        text.static,
        None,
        text.language,
    )


def concatenated(operands: Sequence[Operand]) -> Operand:
    """Return CONCAT: it has the language that all *operands* have."""
    lexical = f"({' || '.join(operand.lexical for operand in operands)})"
    if all(operand.static is TermKind.STRING for operand in operands):
        return string(lexical)
    first = operands[0]
    are_strings = " AND ".join(f"{operand.kind} IN {STRINGS}" for operand in operands)
    alike = " AND ".join(
        f"{operand.kind} = {TermKind.LANGUAGE_STRING:d} AND {operand.language} = {first.language}"
        for operand in operands
    )
    kind = f"CASE WHEN {alike} THEN {TermKind.LANGUAGE_STRING:d} ELSE {TermKind.STRING:d} END"
    return Operand(
        f"(CASE WHEN {are_strings} THEN {kind} END)",
        lexical,
        language=f"(CASE WHEN {alike} THEN {first.language} ELSE '' END)",
    )


def replaced(text: Operand, pattern: str, replacement: str, flags: str) -> Operand:
    """Return REPLACE by a *replacement* without groups; *pattern* means the same in each dialect.

    One that matches an empty text ends the query.
    """
    if "$" in replacement:
        raise NotCompiled("REPLACE by a group")
    options = f"g{flags or 'c'}"
    value = f"regexp_replace({text.lexical}, '{pattern}', {quote(replacement)}, '{options}')"
    return like(text, fallback(f"regexp_matches('', '{pattern}')", value))


def around(text: Operand, separator: str, *, is_before: bool) -> Operand:
    """Return STRBEFORE or STRAFTER of a constant *separator*; the empty string without a language
    where *text* does not contain it.
    """
    if not separator:
        raise NotCompiled("STRBEFORE or STRAFTER with an empty text")
    quoted = quote(separator)
    before = f"split_part({text.lexical}, {quoted}, 1)"
    part = before
    if not is_before:
        part = f"substr({text.lexical}, length({before}) + {len(separator) + 1})"
    is_there = f"contains({text.lexical}, {quoted})"
    is_string = f"{text.kind} IN {STRINGS}"
    kind = f"CASE WHEN {is_there} THEN {text.kind} ELSE {TermKind.STRING:d} END"
    return Operand(
        f"(CASE WHEN {is_string} THEN {kind} END)",
        f"(CASE WHEN {is_string} THEN CASE WHEN {is_there} THEN {part} ELSE '' END END)",
        TermKind.STRING if text.static is TermKind.STRING else None,
        None,
        f"(CASE WHEN {is_there} THEN {text.language} ELSE '' END)",
    )


def iri(value: Operand) -> Operand:
    """Return IRI of an IRI or of a string that is a plain absolute IRI; another string ends the
    query.
    """
    is_string = f"{value.kind} = {TermKind.STRING:d}"
    odd = f"NOT regexp_full_match({value.lexical}, '{_PLAIN_IRI}')"
    is_iri = f"CASE WHEN {value.kind} = {TermKind.IRI:d} THEN {TermKind.IRI:d} END"
    kind = f"(CASE WHEN {is_string} THEN {fallback(odd, f'{TermKind.IRI:d}')} ELSE {is_iri} END)"
    return Operand(kind, value.lexical, TermKind.IRI)


def with_language(value: Operand, language: str) -> Operand:
    """Return STRLANG with a constant *language*."""
    if not _LANGUAGE.fullmatch(language):
        raise NotCompiled("STRLANG with an odd language")
    kind = f"(CASE WHEN {value.kind} = {TermKind.STRING:d} THEN {TermKind.LANGUAGE_STRING:d} END)"
    return Operand(kind, value.lexical, TermKind.LANGUAGE_STRING, None, quote(language.lower()))


def with_datatype(value: Operand, datatype: str) -> Operand:
    """Return STRDT with xsd:string, the only datatype whose forms are all valid and as written."""
    if datatype != f"{XSD}string":
        raise NotCompiled(f"STRDT with {datatype}")
    return string(f"(CASE WHEN {value.kind} = {TermKind.STRING:d} THEN {value.lexical} END)")
