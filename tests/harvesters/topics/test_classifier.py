from __future__ import annotations

import pytest
from rows import each
from topics_benchmark import benchmark_texts

from harvesters.mappings.classifier import (
    LONGEST,
    classify,
    embed,
    is_suitable,
    load,
)

EDUCATION = (
    "The project builds primary schools and trains teachers, so that girls and boys in rural areas complete free and equitable "
    "primary and secondary education. Pupils learn to read and write with books in their own language."
)


@each(
    "text, language",
    [("a " * LONGEST, "en"), ("x", "en"), ("", "en"), ("12 345 %%% 67890 .... 11111 22222", "en"),
     ("a school\x00\x01\x02\x03 for girls in the hills", "en"), ("школа für 学校 مدرسة школа für 学校 مدرسة", "en"),
     ("A school for girls in the hills", None), ("A school for girls in the hills", "tlh")],
)  # fmt: skip
def test_an_unsuitable_text_has_no_suggestion(text: str, language: str | None) -> None:
    assert is_suitable("A school for girls in the hills", "en")
    assert not is_suitable(text, language)
    assert classify(text, language) == []


@each("language", ["en", "fr-CA", "zh-Hans", "ar", "ru", "es"])
def test_a_text_in_a_language_of_the_model_is_suitable(language: str) -> None:
    assert is_suitable(EDUCATION, language)


def test_chinese_and_arabic_texts_are_suitable() -> None:
    assert is_suitable(
        "这个项目在农村建设小学并培训教师，使男女儿童都能完成免费的中小学教育。", "zh"
    )
    assert is_suitable("يبني المشروع مدارس ابتدائية ويدرب المعلمين في المناطق الريفية", "ar")


def test_the_model_suggests_a_goal_with_its_sentence_and_nothing_without_a_topic() -> None:
    claims = classify(f"It began in 2019. {EDUCATION}", "en")

    assert [claim.concept for claim in claims] == ["http://metadata.un.org/sdg/4"]
    assert (claims[0].method, claims[0].method_version) == ("e5-logistic", load().version)
    assert (claims[0].confidence or 0) >= round(load().threshold, 2)
    assert claims[0].word
    assert claims[0].word in EDUCATION

    assert not classify(
        "The committee met on Tuesday and read the minutes of its last meeting.", "en"
    )


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
