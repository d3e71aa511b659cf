from __future__ import annotations

import pytest
from rows import each
from topics_benchmark import benchmark_texts

from harvesters.mappings.classifier import (
    LONGEST,
    classify,
    embed,
    load,
    unsuitable,
)

EDUCATION = (
    "The project builds primary schools and trains teachers, so that girls and boys in rural areas complete free and equitable "
    "primary and secondary education. Pupils learn to read and write with books in their own language."
)


@each(
    "text, language, reason",
    [("a " * LONGEST, "en", "characters"), ("x", "en", "1 letter;"), ("", "en", "0 letters"),
     ("12 345 %%% 67890 .... 11111 22222", "en", "0 letters"),
     ("a school\x00\x01\x02\x03 for girls in the hills", "en", "control characters"),
     ("школа für 学校 مدرسة школа für 学校 مدرسة", "en", "mixes scripts"),
     ("A school for girls in the hills", None, "language of the text is unknown"),
     ("A school for girls in the hills", "tlh", "does not know the language tlh")],
)  # fmt: skip
def test_an_unsuitable_text_has_no_suggestion_but_a_reason(
    text: str, language: str | None, reason: str
) -> None:
    claims, why = classify(text, language)

    assert claims == []
    assert reason in why


@each("language", ["en", "fr-CA", "zh-Hans", "ar", "ru", "es"])
def test_a_text_in_a_language_of_the_model_is_suitable(language: str) -> None:
    assert unsuitable(EDUCATION, language) == ""


def test_chinese_and_arabic_texts_are_suitable() -> None:
    assert (
        unsuitable("这个项目在农村建设小学并培训教师，使男女儿童都能完成免费的中小学教育。", "zh")
        == ""
    )
    assert unsuitable("يبني المشروع مدارس ابتدائية ويدرب المعلمين في المناطق الريفية", "ar") == ""


def test_the_model_suggests_a_goal_with_its_sentence_and_nothing_without_a_topic() -> None:
    claims, reason = classify(f"It began in 2019. {EDUCATION}", "en")

    assert [claim.concept for claim in claims] == ["http://metadata.un.org/sdg/4"]
    assert reason == ""
    assert (claims[0].method, claims[0].method_version) == ("e5-logistic", load().version)
    assert (claims[0].confidence or 0) >= round(load().threshold, 2)
    assert claims[0].word
    assert claims[0].word in EDUCATION

    claims, reason = classify(
        "The committee met on Tuesday and read the minutes of its last meeting.", "en"
    )

    assert claims == []
    assert reason.startswith("no goal is sure enough")


@pytest.mark.nightly
# The test takes three minutes of processor time, and a busy machine takes longer.
@pytest.mark.timeout(1800)
def test_suggestions_for_the_benchmark_are_as_right_as_promised() -> None:
    texts = benchmark_texts()
    if not texts:
        pytest.skip("the package sdgclassification-benchmark is not here; run make install")
    model = load()

    probabilities = model.probabilities(embed([item.text for item in texts]))
    suggested = [
        item
        for item, row in zip(texts, probabilities, strict=True)
        if row[model.codes.index(item.goal)] >= model.threshold
    ]

    right = sum(item.is_about for item in suggested)
    assert right / len(suggested) >= 0.9
    assert right / sum(item.is_about for item in texts) >= 0.25
