from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pyoxigraph import NamedNode
from rows import each

from vocab.crosswalks import Crosswalks, area, country, goal, target
from vocab.iris import BASE, Iris
from vocab.lookup import MAX_LENGTH
from vocab.mapping_sets import sssom_table
from vocab.schemes import concepts, crosswalks, graph_triples, schemes, statements
from vocab.terms import SKOS

IRIS = Iris("https://example.org/")
WALK = Crosswalks(IRIS)
GRAPHS = {graph.rpartition("/")[2]: lines for graph, lines in statements(IRIS.base)}
SDG = "http://metadata.un.org/sdg/"
AREA = "http://metadata.un.org/sdg/codes/geoArea/"

LINES: dict[str | None, list[str]] = {
    "C7-ehea": ["C7. E-Health", "C7 e-health", "e-Health", "eHealth", "AL C7 (E-health)", "C7-ehea", "C7. ICT APPLICATIONS: E-HEALTH",
      "\u04217. \u0415-health", "Электронное здравоохранение"], "C7-esci": ["ICT applications: e-science"],
    "C7-egov": ["C7 ICT Applications I, e-government"], "C2": ["\u04212", "\u0441 2", "\uff23\uff12"], "C7": ["C7",
      "C7: ICT applications"], "C5": ["C 5", "c05"],
    "C10": ["C10"], "C1": ["C1"], "C11": ["Action line C11",
      "C11. INTERNATIONAL AND REGIONAL COOPERATION"], "C4": ["WSIS Action Line C4: Capacity building", "Le renforcement des capacités",
      "能力建设"], "C3": ["C3: Access to information knowledge"], "C9": ["Media"],
    None: ["Renforcement des capacités", "C12", "C0", "C", "",
      "C1, C2", "C1; C7 e-health", "C3. Media", "C4. E-health", "C7.4", "C7: e-health and e-learning", "C4 plants", "C4ISR", "health",
      "information"],
}  # fmt: skip

GOALS: dict[str | None, list[str | int]] = {
    "4": ["SDG 4", "SDG4", "#SDG4", "sdg-04", "Goal 4", "goal 04.", "SDG4: Quality education", "SDG 4 - Quality Education",
      "4 - Quality Education", "4. Quality education", "Quality education",
      "Ensure inclusive and equitable quality education and promote lifelong learning opportunities for all", "4", 4, "\u0664", "\uff14",
      "ODD 4", "ODS 4", "Objetivo 4: Educación de calidad", "Цель 4", "目标4:优质教育", "الهدف 4", "Éducation de qualité",
      "Качественное образование", "优质教育", "http://metadata.un.org/sdg/4", "https://metadata.un.org/sdg/4"], "17": ["UN SDG 17"],
    "16": ["Goal 16: Peace and Justice Strong Institutions"], None: ["education", "", "SDG", "0", 18, -4, "-4", "4.4", "SDG 4.4",
      "Target 4", "4 Mbps", "4 - projects", "SDG 4 and SDG 5", "SDG 4: Gender equality", "4, 5", "2030"],
}  # fmt: skip

TARGETS: dict[str | None, list[str]] = {
    "4.4": ["4.4", "04.04", "Target 4.4", "SDG 4.4", "SDG target 4.4", "Cible 4.4", "Meta 4.4",
      "4.4: By 2030, substantially increase the number of youth", "http://metadata.un.org/sdg/4.4", "\uff14.\uff14"], "4.b": ["4.b",
      "4.B"], "17.19": ["17.19"], "16.10": ["16.10"], "16.1": ["16.1"], None: ["4", "4.9", "4.d", "4.4.1", "18.1", "4.4 Mbps", "4.4, 4.5",
      "1.5 degrees", ""],
}  # fmt: skip

COUNTRIES: dict[str | None, list[str | int]] = {
    "404": ["Kenya", "KENYA", " kenya ", "KE", "KEN", "404", 404, "肯尼亚", "كينيا", "Кения", "Kenia", "the Republic of Kenya",
      "Kenya, Republic of", "http://metadata.un.org/sdg/codes/geoArea/404"], "004": [4, "004"], "364": ["Iran (Islamic Republic of)",
      "Iran, Islamic Rep."], "834": ["Tanzania, United Republic of", "Tanzania"], "499": ["MONTENEGRO (REPUBLIC OF)"],
    "410": ["KOREA (REP. OF)", "Korea, Republic of", "South Korea"], "408": ["North Korea", "Korea, Democratic People's Republic of"],
    "178": ["Congo"], "180": ["Congo, Democratic Republic of the", "DR Congo"], "384": ["COTE D'IVOIRE", "Ivory Coast"],
    "792": ["Türkiye", "Turkey"], "729": ["Sudan"], "728": ["South Sudan"], "324": ["Guinea"], "624": ["Guinea Bissau"],
    "212": ["Dominica"], "214": ["Dominican Republic"], "882": ["Samoa"], "704": ["Viet Nam", "Vietnam"], "826": ["UK"], "840": ["USA"],
    "203": ["Czech Republic"], "748": ["Swaziland"], None: ["ke", "no", "Korea", "Virgin Islands", "Saint-Martin", "Africa", "World",
      "001", "999", "INTERNATIONAL", "Kenya, Uganda", ""],
}  # fmt: skip


# Words that lead to a concept, and under None words that lead to none, by crosswalk and scheme.
NAMED: dict[tuple[str, str], dict[str | None, list[str]]] = {
    ("stakeholder-type", "stakeholder-type"): {
        "business-entity": ["Private sector", "BUSINESS ENTITY"], "international-organization": ["international-organization"],
        "civil-society": ["NGO", "National NGO"], "government": ["Gouvernement"], None: ["people"]},
    ("coverage", "coverage"): {"international": ["Global"], "national": ["national"], None: ["10 km"]},
    ("status", "status"): {"ongoing": ["On-going"], "completed": ["Closed"], None: ["unknown"]},
    ("activity-type", "activity-type"): {"training": ["Training initiative"], "programme": ["Programme"], "software": ["software"],
                                         None: ["hardware"]},
    ("prize-stage", "prize-stage"): {"winner": ["Winners"], "nominated": ["nominee"], None: ["DPG"]},
    ("prize-category", "prize-category"): {"C7-ehea": ["C7. ICT APPLICATIONS: E-HEALTH"], "C9": ["C9. MEDIA"], None: ["C7"]},
    ("iati-organisation-type", "stakeholder-type"): {"government": ["10"], "civil-society": ["22"], None: ["99"]},
    ("iati-activity-scope", "coverage"): {"international": ["1"], "local": ["8"], None: ["Global"]},
}  # fmt: skip


@each(
    "find, named, prefix",
    [(WALK.action_line, LINES, IRIS.concept("action-line", "")), (goal, GOALS, SDG), (target, TARGETS, SDG), (country, COUNTRIES, AREA),
     (area, {"002": ["Africa"], "014": ["Eastern Africa"], "001": ["001"], "404": ["Kenya"], None: ["dc"]}, AREA)],
)  # fmt: skip
def test_a_line_goal_target_country_or_area_is_found_by_what_names_it(
    find: Callable[[Any], str | None], named: dict[str | None, list[Any]], prefix: str
) -> None:
    results = {text: find(text) for texts in named.values() for text in texts}

    assert results == {
        text: code and prefix + code for code, texts in named.items() for text in texts
    }


@each("crosswalk, named", NAMED.items())
def test_a_concept_is_found_by_what_names_it(
    crosswalk: tuple[str, str], named: dict[str | None, list[str]]
) -> None:
    name, scheme = crosswalk
    find = (
        WALK.prize_category
        if name == "prize-category"
        else partial(WALK.find_match if name.startswith("iati") else WALK.find_by_name, name)
    )

    results = {text: find(text) for texts in named.values() for text in texts}

    assert results == {
        text: code and IRIS.concept(scheme, code) for code, texts in named.items() for text in texts
    }


def test_every_code_and_preferred_label_of_a_scheme_of_ours_is_found_again() -> None:
    named = ("stakeholder-type", "coverage", "status", "activity-type", "prize-stage", "itu-region")

    lost = [
        (concept.iri, word)
        for scheme in named
        for concept in concepts(scheme, IRIS.base).values()
        for word in (*concept.notations, *(name.value for name in concept.labels))
        if WALK.find_by_name(scheme, word) != concept.iri
    ]

    assert lost == []


def test_every_title_of_a_line_goal_and_target_is_found_again() -> None:
    lines = [(item, WALK.action_line) for item in concepts("action-line", IRIS.base).values()]
    goals = [
        (item, find)
        for item in concepts("sdg").values()
        for kind, find in (("Goal", goal), ("Target", target))
        if f"{SDG}ontology#{kind}" in item.types
    ]

    lost = [
        (item.iri, name.value)
        for item, find in (*lines, *goals)
        for name in item.labels
        if find(name.value) != item.iri
    ]
    assert len(goals) == 186
    assert lost == []


def test_only_names_that_two_countries_share_are_not_found_again() -> None:
    countries = [concept for concept in concepts("area").values() if f"{AREA}co" in concept.types]

    lost = {
        name.value for item in countries for name in item.labels if country(name.value) != item.iri
    }

    assert lost == {"Saint-Martin"}


def test_every_prize_category_is_found_by_its_label_and_is_an_action_line() -> None:
    categories = concepts("prize-category", IRIS.base).values()

    beside = {IRIS.concept("prize-category", code) for code in ("special", "photo-contest")}

    assert len(categories) == 18 + len(beside)
    assert [
        category.iri
        for category in categories
        if WALK.prize_category(category.labels[0].value) != category.iri
    ] == []
    unmatched = {
        category.iri
        for category in categories
        if category.matches != (WALK.action_line(category.labels[0].value),)
    }
    assert unmatched == beside


@each(
    "word, code",
    [("Special Prize", "special"), ("WSIS special prizes", "special"), ("WSIS Photo Contest", "photo-contest"), ("C7", None)],
)  # fmt: skip
def test_special_prizes_stand_beside_the_eighteen_categories(word: str, code: str | None) -> None:
    assert WALK.prize_category(word) == (IRIS.concept("prize-category", code) if code else None)


def test_look_ups_under_two_bases_give_concepts_under_each() -> None:
    here = Crosswalks(Iris("https://here.example/"))
    there = Crosswalks(Iris("https://there.example/"))

    assert here.find_by_name("status", "ongoing") == "https://here.example/scheme/status/ongoing"
    assert there.find_by_name("status", "ongoing") == "https://there.example/scheme/status/ongoing"


@each(
    "scheme, code, concepts_named",
    [*(("dac-purpose", *row) for row in (
        ("14050", ()), ("15190", ()), ("12220", ("3",)), ("11220", ("4",)), ("140", ("6",)), ("22010", ("9",)), ("22011", ("9",)),
        ("22081", ("C4",)), ("210", ()), ("240", ()), ("250", ()), ("331", ()), ("99810", ()), ("", ()))),
     *(("iati-policy-marker", *row) for row in (("1", ("5",)), ("7", ("13",)), ("2", ()), ("13", ())))],
)  # fmt: skip
def test_a_purpose_code_and_a_policy_marker_match_what_their_own_names_name(
    scheme: str, code: str, concepts_named: tuple[str, ...]
) -> None:
    assert tuple(iri.rpartition("/")[2] for iri in WALK.find_all(scheme, code)) == concepts_named


def test_that_a_word_concerns_a_goal_or_an_action_line_is_no_mapping() -> None:
    """SKOS mappings lead to lists of one kind; a sector or purpose is no goal (decision 175)."""
    goals = set(concepts("sdg"))
    lines = set(concepts("action-line"))
    concerns = f"{BASE}ns#concerns"
    links = [
        (t.predicate.value, t.object.value)
        for name in crosswalks()
        for t in graph_triples(name)
        if isinstance(t.object, NamedNode)
    ]

    assert {predicate for predicate, iri in links if iri in goals | lines} == {concerns}
    assert {iri for predicate, iri in links if predicate == concerns} <= goals | lines
    assert sum(predicate == concerns for predicate, _ in links) > 150
    assert "\twsis:concerns\tsdg:4\t" in sssom_table("dac-purpose")


def test_a_foreign_concept_without_a_match_says_why() -> None:
    silent = [
        iri
        for scheme in ("dpga-sector", "iati-policy-marker", "iati-region")
        for iri, concept in concepts(scheme, IRIS.base).items()
        if not concept.matches
        and not any(line.startswith(f"<{iri}> <{SKOS}editorialNote> ") for line in GRAPHS[scheme])
    ]

    assert silent == []


def test_a_truth_value_is_no_number_and_does_not_stand_for_one() -> None:
    assert [goal(value) for value in (True, 1)] == [None, f"{SDG}1"]


@each(
    "text",
    ["SDG " * 100_000, "C7 " + "e-" * 100_000, "4" * 100_000, " " * 200_000 + "Kenya", "ongoing " * 50_000],
)  # fmt: skip
def test_a_text_longer_than_any_name_names_nothing(text: str) -> None:
    results = [
        goal(text), target(text), country(text), area(text), WALK.action_line(text), WALK.find_by_name("status", text),
    ]  # fmt: skip

    assert results == [None] * 6


def test_no_name_is_longer_than_what_is_looked_up() -> None:
    assert (
        max(
            len(name.value)
            for scheme in schemes()
            for concept in concepts(scheme).values()
            for name in concept.labels
        )
        <= MAX_LENGTH
    )
