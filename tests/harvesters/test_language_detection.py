from __future__ import annotations

from typing import Any

import pytest
from lxml import etree
from replay import crosswalks
from rows import each
from simulated import define_source

from harvesters.mappings.registry import MAPPINGS
from harvesters.page_model import Record
from harvesters.payloads.language_detection import detect_languages
from vocab.initiative import Document, Event, Initiative, Post, Resource, Text
from vocab.iris import Iris
from vocab.statements.describe import describe

TEXTS = {
    "en": "Forty schools in the countryside are connected to the internet, and their teachers learn how to teach with it.",
    "fr": "Quarante écoles de campagne sont reliées à l'internet, et leurs enseignants apprennent à enseigner avec lui.",
    "es": "Cuarenta escuelas rurales están conectadas a internet, y sus maestros aprenden a enseñar con esta herramienta.",
    "ru": "Сорок сельских школ подключены к интернету, и их учителя учатся преподавать с его помощью.",
    "ar": "تم ربط أربعين مدرسة ريفية بشبكة الإنترنت ويتعلم معلموها كيفية التدريس باستخدامها في الفصول الدراسية كل يوم",
    "zh": "四十所乡村学校已接入互联网，教师们正在学习如何利用互联网进行教学，并且帮助学生提高数字技能。",
    "sw": "Shule arobaini za vijijini zimeunganishwa na mtandao, na walimu wao wanajifunza jinsi ya kufundisha kwa kutumia mtandao huo.",
    "pt": "Quarenta escolas rurais estão ligadas à internet, e os seus professores aprendem a ensinar com ela todos os dias.",
}


@each("language", TEXTS)
def test_a_missing_language_is_detected(language: str) -> None:
    item = detect_languages(Initiative(key="1", descriptions=(Text(TEXTS[language]),)))

    assert item.descriptions == (Text(TEXTS[language], language),)
    assert [(one.field, one.language, one.confidence >= 0.9) for one in item.detected] == [
        ("description", language, True)
    ]


def test_a_stated_language_is_kept() -> None:
    initiative = Initiative(
        key="1", titles=(Text(TEXTS["fr"], "en"),), descriptions=(Text(TEXTS["es"], "xx"),)
    )

    assert detect_languages(initiative) is initiative


def test_a_short_title_has_the_language_of_the_description_with_it() -> None:
    item = detect_languages(
        Initiative(key="1", titles=(Text("Écoles en ligne"),), descriptions=(Text(TEXTS["fr"]),))
    )

    assert [text.language for text in (*item.titles, *item.descriptions)] == ["fr", "fr"]


@each("text", ["QUANTOP", "2024", "ICT4D e-Gov 2.0", "HelloMAMA WASH"])
def test_no_language_is_given_where_none_is_detected(text: str) -> None:
    initiative = Initiative(key="1", titles=(Text(text),))

    assert detect_languages(initiative) is initiative


@pytest.mark.parametrize(
    ("resource", "property_"),
    [
        (Event(key="1", venue=Text(TEXTS["es"])), "https://w3id.org/wsis-stocktaking/ns#venue"),
        (Post(key="1", content=Text(TEXTS["es"])), "http://rdfs.org/sioc/ns#content"),
        (Document(key="1", titles=(Text(TEXTS["es"]),)), "http://purl.org/dc/terms/title"),
    ],
)
def test_what_was_detected_is_marked_in_the_data(resource: Resource, property_: str) -> None:
    field = {"venue": "venue", "content": "content", "title": "title"}[
        property_.replace("#", "/").rpartition("/")[2]
    ]

    lines = describe(detect_languages(resource), Iris(), "a")

    detection = f"<https://w3id.org/wsis-stocktaking/record/a/1#detected-{field}-es>"
    assert any(line.endswith('"@es') and f"<{property_}>" in line for line in lines)
    assert (
        f"{detection} <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <https://w3id.org/wsis-stocktaking/ns#LanguageDetection>"
        in lines
    )
    assert f"{detection} <https://w3id.org/wsis-stocktaking/ns#detectedIn> <{property_}>" in lines
    assert f'{detection} <http://purl.org/dc/terms/language> "es"' in lines


@pytest.mark.parametrize(
    ("languages", "default", "tag"),
    [(["fre"], None, "fr"), (["fr"], "en", "fr"), (["en_US"], "en", "en"), (["fr", "en"], "es", "es"), (["mul"], "es", "es"),
     ([], "es", "es")],
)  # fmt: skip
@pytest.mark.parametrize("mapping", ["fields", "oai_dc", "ckan_package"])
def test_texts_have_the_one_language_that_their_record_states(
    mapping: str, languages: list[str], default: str | None, tag: str
) -> None:
    fields = {"title": "title", "description": "notes", "languages": "language", "subjects": "tags"}
    source = define_source(
        mapping=mapping, language=default, **({"fields": fields} if mapping == "fields" else {})
    )
    row: dict[str, Any] = {
        "title": "Puits",
        "notes": "Eau",
        "language": languages,
        "tags": ["sources"] if mapping == "fields" else [{"name": "sources"}],
    }
    stated = "".join(f"<language>{language}</language>" for language in languages)
    element = etree.fromstring(
        '<dc xmlns="http://purl.org/dc/elements/1.1/"><title>Puits</title>'
        f"<description>Eau</description><subject>sources</subject>{stated}</dc>"
    )

    read = MAPPINGS[mapping].prepare(source, crosswalks())
    resource = read(Record("1", element if mapping == "oai_dc" else row, b""))

    texts = (*resource.titles, *resource.descriptions, *resource.subjects)
    assert [text.language for text in texts[:2]] == [tag] * 2
    # CKAN says nothing of the language of a tag
    unknown = mapping == "ckan_package" and tag == default and languages != ["en_US"]
    assert [text.language for text in texts[2:]] == [None if unknown else tag]


def test_keywords_have_the_language_of_their_record_where_its_texts_have_their_own() -> None:
    element = etree.fromstring(
        '<dc xmlns="http://purl.org/dc/elements/1.1/"><title xml:lang="fr">Puits</title>'
        "<subject>sources</subject><language>fre</language></dc>"
    )

    read = MAPPINGS["oai_dc"].prepare(define_source(mapping="oai_dc", language="en"), crosswalks())

    assert read(Record("1", element, b"")).subjects == (Text("sources", "fr"),)
