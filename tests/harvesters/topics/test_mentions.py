from __future__ import annotations

from rows import each

from harvesters.mappings.topics import LIKELY, LONGEST, SURE, find_mentions


def codes(text: str, language: str | None = None) -> list[str]:
    return [mention.concept.rpartition("/")[2] for mention in find_mentions(text, language)]


@each(
    "text, language, expected",
    [("It supports SDG 4.", "en", ["4"]), ("#SDG13 and SDG16+", None, ["13", "16"]), ("Contribue à l'ODD n° 4.", "fr", ["4"]),
     ("Contribuye al ODS 4 y a la meta 9.c", "es", ["4", "9.c"]), ("Contribui para o ODS 4", "pt", ["4"]),
     ("Проект способствует достижению ЦУР 4.", "ru", ["4"]),
     ("Цель 4 в области устойчивого развития", "ru", ["4"]), ("实现可持续发展目标4", "zh", ["4"]),
     ("可持续发展目标3、4和5", "zh", ["3", "4", "5"]), ("الهدف ٤ من أهداف التنمية المستدامة", "ar", ["4"]), ("هدف 4", "ar", ["4"]),
     ("目标4", "zh", ["4"]), ("target 9.c", "en", ["9.c"]), ("SDG target 4.4", "en", ["4.4"]), ("SDG indicator 4.4.1", "en", ["4.4"]),
     ("SDGs 3, 4 and 5 through skills", "en", ["3", "4", "5"]), ("Sustainable Development Goal ４", "en", ["4"]),
     ("the 2030 Agenda, in particular Goal 4 and target 4.4", "en", ["4", "4.4"]),
     ("Goal 4: Quality education (2030 Agenda)", "en", ["4"]), ("action line C7", "en", ["C7"]), ("WSIS C7: e-health", "en", ["C7-ehea"]),
     ("WSIS Action Lines C1, C2 and C3", "en", ["C1", "C2", "C3"]), ("grande orientation \u0421\u0037 du SMSI", "fr", ["C7"]),
     ("líneas de acción C4 y C5", "es", ["C4", "C5"]), ("направление деятельности C7", "ru", ["C7"]),
     ("行动方面 C7", "zh", ["C7"]), ("خط العمل C7", "ar", ["C7"])],
)  # fmt: skip
def test_a_goal_target_or_action_line_is_found_in_six_languages(
    text: str, language: str | None, expected: list[str]
) -> None:
    assert codes(text, language) == expected


@each(
    "text",
    ["Goal 4: hire people", "goal 3: increase revenue for the sustainable development of our firm",
     "Objectif 1 : recruter. Le développement durable.", "target 1.5 degrees", "target 1.5 °C under the 2030 Agenda",
     "our target 4.4 million people for the SDGs", "SDG 3.5 billion", "target 17", "meta 3.1 del proyecto",
     "SDG 18, SDG 40, SDG 4000, SDG 0 and SDG 2030", "SDGs 17 goals", "all 17 SDGs", "an odd 4, and odd 4", "save it as ODS 4 or ODS 1.2",
     "ODD 4 patients with defiant disorder", "Millennium Development Goal 4 (before the SDGs)", "MDG 4", "any goal except SDG 4",
     "it is not related to SDG 4", "goals4all", "C7 plants", "vertebra C7 and explosive C4", "the WSIS of 2015", "action line items 7",
     "action line C12", "", "4", "\x00\x01SDG\x02"],
)  # fmt: skip
def test_other_numbers_are_no_mention(text: str) -> None:
    assert codes(text, "en") == []


def test_a_number_after_a_single_goal_is_part_of_the_list_only_if_the_list_ends_there() -> None:
    assert codes("SDG 4, 5 countries") == ["4"]
    assert codes("SDG 4, 5 and 6.") == ["4", "5", "6"]


def test_a_mention_has_the_words_and_how_sure_they_are_and_the_surer_counts() -> None:
    sure, likely = find_mentions("SDG  4 and the target 9.c")

    assert (sure.words, sure.confidence) == ("SDG 4", SURE)
    assert (likely.words, likely.confidence) == ("target 9.c", LIKELY)

    (mention,) = find_mentions("Goal 4 of the SDGs is SDG 4")

    assert (mention.words, mention.confidence) == ("SDG 4", SURE)

    assert codes("SDG 4 " + "a" * (LONGEST - 6)) == ["4"]
    assert codes("SDG 4 " + "a" * LONGEST) == []


@each(
    "text",
    ["SDG " * 24_000, "SDG 4, " * 14_000, "goal " * 19_000 + "4", "C7" * 49_000, "1." * 49_000],
)
def test_a_repeated_pattern_is_read_in_linear_time(text: str) -> None:
    assert len(find_mentions(text)) <= 1
