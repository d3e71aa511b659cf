from __future__ import annotations

from rows import each

from harvesters.mappings.mapping import detect_languages
from vocab.describe import describe
from vocab.initiative import Document, Event, Initiative, Post, Resource, Text
from vocab.iris import BASE, Iris

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


def test_a_stated_language_is_kept_and_a_short_title_has_that_of_the_description() -> None:
    initiative = Initiative(
        key="1", titles=(Text(TEXTS["fr"], "en"),), descriptions=(Text(TEXTS["es"], "xx"),)
    )

    assert detect_languages(initiative) is initiative

    item = detect_languages(
        Initiative(key="1", titles=(Text("Écoles en ligne"),), descriptions=(Text(TEXTS["fr"]),))
    )

    assert [text.language for text in (*item.titles, *item.descriptions)] == ["fr", "fr"]


@each("text", ["QUANTOP", "2024", "ICT4D e-Gov 2.0", "HelloMAMA WASH"])
def test_no_language_is_given_where_none_is_detected(text: str) -> None:
    initiative = Initiative(key="1", titles=(Text(text),))

    assert detect_languages(initiative) is initiative


@each(
    "resource, field, property_",
    [(Event(key="1", venue=Text(TEXTS["es"])), "venue", f"{BASE}ns#venue"),
     (Post(key="1", content=Text(TEXTS["es"])), "content", "http://rdfs.org/sioc/ns#content"),
     (Document(key="1", titles=(Text(TEXTS["es"]),)), "title", "http://purl.org/dc/terms/title")],
)  # fmt: skip
def test_what_was_detected_is_marked_in_the_data(
    resource: Resource, field: str, property_: str
) -> None:
    lines = describe(detect_languages(resource), Iris(), "a")

    detection, rdf = f"<{BASE}record/a/1#detected-{field}-es>", "http://www.w3.org/1999/02/22-rdf-syntax-ns#"  # fmt: skip
    assert any(line.endswith('"@es') and f"<{property_}>" in line for line in lines)
    assert f"{detection} <{rdf}type> <{BASE}ns#LanguageDetection>" in lines
    assert f"{detection} <{BASE}ns#detectedIn> <{property_}>" in lines
    assert f'{detection} <http://purl.org/dc/terms/language> "es"' in lines
