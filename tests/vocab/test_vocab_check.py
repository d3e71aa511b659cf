from __future__ import annotations

import json
from pathlib import Path

from rows import each
from typer.testing import CliRunner

from command_line.vocabulary import app
from vocab.product.check import check_files
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


def test_a_sound_file_has_no_problem() -> None:
    assert check(GOOD) == []


def test_a_concept_without_a_source_of_its_own_is_reported_at_its_line() -> None:
    text = GOOD.replace(" dct:source <https://example.org/list#one> ;", "")

    (problem,) = check_files({"x.ttl": text.encode()})

    assert (problem.file, problem.line, problem.message) == ("x.ttl", 7, "scheme/x/one: no source")
    assert problem.remedy.startswith("add dct:source with the address of its text")


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
    ],
)  # fmt: skip
def test_what_is_missing_or_a_text_is_reported_at_its_line(
    whole: str, part: str, line: int, message: str
) -> None:
    assert check(GOOD.replace(whole, part, 1)) == [(line, message)]


def test_a_concept_below_a_top_concept_and_a_deprecated_one_need_not_be_one() -> None:
    below = GOOD.replace(", <scheme/x/two>", "").replace(
        '"Two"@en', '"Two"@en ; skos:broader <scheme/x/one>'
    )
    deprecated = GOOD.replace(", <scheme/x/two>", "").replace(
        '"Two"@en', '"Two"@en ; <http://www.w3.org/2002/07/owl#deprecated> true'
    )

    assert (check(below), check(deprecated)) == ([], [])


def test_an_undefined_broader_concept_is_reported() -> None:
    text = GOOD.replace('"Two"@en', '"Two"@en ;\n    skos:broader <scheme/x/three>')

    ((line, message),) = check(text)

    assert line == 11
    assert message.startswith("scheme/x/two: skos:broader leads to ")


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


def test_a_translation_with_other_years_is_reported() -> None:
    text = GOOD.replace(
        'in 2015"@en', 'in 2015"@en, "Nombre de pays qui avaient une stratégie en 2030"@fr'
    )

    assert ["years" in message for _, message in check(text)] == [True]


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


def test_a_file_that_is_not_turtle_is_reported_at_its_line() -> None:
    ((line, message),) = check(
        GOOD.replace('list#two> ;\n    skos:prefLabel "Two"', 'list#two> ;\n    "Two"')
    )

    assert line == 13
    assert message.startswith("not Turtle: ")


def run(*arguments: str | Path) -> tuple[int, str]:
    environment = {"NO_COLOR": "1", "COLUMNS": "400"}
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)
    return result.exit_code, result.output


def test_the_command_refuses_a_bad_file_with_line_and_remedy(tmp_path: Path) -> None:
    file = tmp_path / "x.ttl"
    file.write_text(SCHEME.format(label='"Two"@en, "Second"@en'))

    code, output = run("check", file)

    assert code == 1
    assert "x.ttl:13: " in output
    assert "make it a skos:altLabel" in output


def test_the_command_accepts_a_good_file(tmp_path: Path) -> None:
    file = tmp_path / "x.ttl"
    file.write_text(GOOD)

    assert run("check", file) == (0, "0 problems in 1 file\n")


def test_the_command_prints_json(tmp_path: Path) -> None:
    file = tmp_path / "x.ttl"
    file.write_text(SCHEME.format(label='"Zwei"@de'))

    code, output = run("check", file, "--json")

    assert (code, [problem["line"] for problem in json.loads(output)]) == (1, [13])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    code, output = run("check", tmp_path / "none.ttl")

    assert code == 2
    assert "none.ttl" in output


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
