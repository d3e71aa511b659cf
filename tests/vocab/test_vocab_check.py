from __future__ import annotations

import json
from pathlib import Path

from rows import each
from typer.testing import CliRunner

from command_line.vocabulary import vocabulary as app
from vocab.check import check_files
from vocab.schemes import read_files

SCHEME = """@prefix dct: <http://purl.org/dc/terms/> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .

<scheme/x> a skos:ConceptScheme ; skos:hasTopConcept <scheme/x/one>, <scheme/x/two> ;
    dct:source <https://example.org/list> ; dct:license <https://example.org/licence> .

<scheme/x/one> a skos:Concept ;
    skos:inScheme <scheme/x> ; skos:topConceptOf <scheme/x> ; dct:source <https://example.org/list#one> ;
    skos:prefLabel "Number of countries that had a strategy in 2015"@en .

<scheme/x/two> a skos:Concept ;
    skos:inScheme <scheme/x> ; skos:topConceptOf <scheme/x> ; dct:source <https://example.org/list#two> ;
    skos:prefLabel {label} .
"""
GOOD = SCHEME.format(label='"Two"@en')


def check(text: str) -> list[tuple[int, str]]:
    return [(problem.line, problem.message) for problem in check_files({"x.ttl": text.encode()})]


def test_the_published_vocabulary_has_no_problem() -> None:
    assert [str(problem) for problem in check_files(dict(read_files()))] == []
    assert check(GOOD) == []


@each(
    "whole, part, line, message",
    [
        (' ;\n    skos:prefLabel "Two"@en', "", 11, "scheme/x/two: no label"),
        ("inScheme <scheme/x> ; skos:topConceptOf <scheme/x> ; dct:source <https://example.org/list#two>",
         "note 2 ; dct:source <https://example.org/list#two>", 11, "scheme/x/two: no scheme"),
        (", <scheme/x/two>", "", 11, "scheme/x/two: neither a top concept nor below one"),
        (" ; dct:license <https://example.org/licence>", "", 4, "scheme/x: no licence"),
        ("dct:license <https://example.org/licence>", 'dct:license "free"', 4, "scheme/x: no licence"),
        ("<https://example.org/licence> .", '<urn:x> ; dct:publisher "We" .', 4, "scheme/x: dct:publisher is a text"),
        ("<https://example.org/licence> .", '<urn:x> ; dct:accrualPeriodicity "daily" .', 4,
         "scheme/x: dct:accrualPeriodicity is a text"),
        (" dct:source <https://example.org/list#one> ;", "", 7, "scheme/x/one: no source"),
        ('"Two"@en', '"Two"@en ;\n    skos:broader <scheme/x/three>', 11, "scheme/x/two: skos:broader leads to "),
        ('in 2015"@en', 'in 2015"@en, "Nombre de pays qui avaient une stratégie en 2030"@fr', 9, "years"),
        ('list#two> ;\n    skos:prefLabel "Two"', 'list#two> ;\n    "Two"', 13, "not Turtle: "),
    ],
)  # fmt: skip
def test_what_is_missing_or_a_text_is_reported_at_its_line(
    whole: str, part: str, line: int, message: str
) -> None:
    [(reported, text)] = check(GOOD.replace(whole, part, 1))
    assert (reported, message in text) == (line, True), text


def test_a_concept_below_a_top_concept_and_a_deprecated_one_need_not_be_one() -> None:
    below = GOOD.replace(", <scheme/x/two>", "").replace(
        '"Two"@en', '"Two"@en ; skos:broader <scheme/x/one>'
    )
    deprecated = GOOD.replace(", <scheme/x/two>", "").replace(
        '"Two"@en', '"Two"@en ; <http://www.w3.org/2002/07/owl#deprecated> true'
    )

    assert (check(below), check(deprecated)) == ([], [])


@each(
    "label, message",
    [('"Two"@en, "Second"@en', 'a second preferred label in "en"'), ('"Zwei"@de', 'unknown language "de"'),
     ('"Two"', "unknown label without a language"), ('"number of countries that had a strategy in 2015"@en', "the preferred label of "),
     ('"plotność lomu+B246"@en', "the reference of a spreadsheet's cell"), ('"Subscriptions, by speed(5)"@en', "a footnote mark"),
     ('"Subscriptions, by speed 5"@en', "a footnote mark"),
     ('"Capacity (identical to the indicator proposed for 12.a.1 below)"@en', "a drafting note that names another indicator"),
     ('"Électri\u00adcité"@fr', "a soft hyphen or a tatweel"), ('"نسـبة السكان"@ar', "a soft hyphen or a tatweel"),
     ('"Two  words"@en', "stray white space"),
     ('"Tarifas en desarrolloPromedio de los aranceles que enfrentan los países menos adelantados"@es', "two texts without a space"),
     ('"сообщениями по стратеги-ями"@ru', "a hyphen of a line's end"),
     ('"e\u0301tat"@fr', "not in Unicode's NFC"),
     ('"Правительство"@en', "letters that do not belong to the language (Cyrillic)"),
     ('"Government"@ru', "no letters of the language"), ('"開發國"@zh', "characters that are not Simplified Chinese (開發國)"),
     ('"la coordination and domestic material"@fr', "words of another language (and)"),
     ('"политика of the states"@ru', "words of another language (of, the)"),
     ('"Nombre de los países"@fr', "words of another language (los)")],
)  # fmt: skip
def test_a_wrong_label_is_reported_at_its_line(label: str, message: str) -> None:
    result = check(SCHEME.format(label=label))

    assert [line for line, _ in result] == [13]
    assert message in result[0][1]


def test_a_translation_far_shorter_than_its_sisters_is_reported() -> None:
    rows = (
        f"<scheme/x/{n}> a skos:Concept ; skos:inScheme <scheme/x> ; skos:broader <scheme/x/one> ; "
        f"dct:source <https://example.org/list> ; "
        f'skos:prefLabel "Number {n} of countries that have a national strategy"@en, "{french} {n}"@fr .'
        for n, french in enumerate(
            ["Nombre de pays qui ont une stratégie nationale numéro"] * 25 + ["Tableau"], 10
        )
    )

    result = check(GOOD + "\n".join(rows))

    assert [(line, "far longer or shorter" in message) for line, message in result] == [(39, True)]


def run(*arguments: str | Path) -> tuple[int, str]:
    environment = {"NO_COLOR": "1", "COLUMNS": "400"}
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)
    return result.exit_code, result.output


def test_the_command_reports_file_line_and_remedy_as_text_or_json(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.ttl", tmp_path / "x.ttl"
    good.write_text(GOOD)
    bad.write_text(SCHEME.format(label='"Two"@en, "Second"@en'))

    assert run("check", good) == (0, "0 problems in 1 file\n")
    code, output = run("check", bad)
    assert (code, "x.ttl:13: " in output, "make it a skos:altLabel" in output) == (1, True, True)
    code, output = run("check", bad, "--json")
    assert (code, [problem["line"] for problem in json.loads(output)]) == (1, [13])
    code, output = run("check", tmp_path / "none.ttl")
    assert (code, "none.ttl" in output) == (2, True)


DEFINED = """@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix dct: <http://purl.org/dc/terms/> .
<scheme/x> a skos:ConceptScheme ; skos:hasTopConcept <scheme/x/1> ; dct:license <https://example.org/licence> .
<scheme/x/1> a skos:Concept ; skos:prefLabel "1"@en ; skos:topConceptOf <scheme/x> ; skos:inScheme <scheme/x> ; dct:source <urn:x> ;
    skos:definition %s .
"""


@each(
    "definitions, message, remedy",
    [('"One."@en, "Another."@en', 'a second definition in "en"', "make it a skos:scopeNote"),
     ('"Eins und zwei."@de', 'unknown language "de"', "use one of en, fr, es, ar, zh, ru"),
     ('"One and two."', "unknown definition without a language", "use one of en, fr, es, ar, zh, ru"),
     ('"Definition."@ru', "no letters of the language", "correct the definition, or leave it out"),
     ('"已開發國家的定義"@zh', "characters that are not Simplified Chinese", "correct the definition, or leave it out")],
)  # fmt: skip
def test_a_faulty_definition_is_reported_with_file_line_and_remedy(
    definitions: str, message: str, remedy: str
) -> None:
    (problem,) = check_files({"x.ttl": (DEFINED % definitions).encode()})

    assert (problem.file, problem.line, problem.remedy) == ("x.ttl", 5, remedy)
    assert message in problem.message
