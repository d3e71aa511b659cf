"""Crosswalks: each free form resolves to the one concept that it names, and what names none or two
resolves to None.
"""

from __future__ import annotations

from pyoxigraph import NamedNode
from rows import each

from vocab.crosswalks import Crosswalks, area, country, goal, target
from vocab.iris import BASE, Iris
from vocab.normalization import MAX_LENGTH
from vocab.product.mapping_sets import sssom_table
from vocab.schemes import concepts, crosswalks, graph_triples, schemes, statements
from vocab.terms import SKOS

IRIS = Iris("https://example.org/")
WALK = Crosswalks(IRIS)
GRAPHS = {graph.rpartition("/")[2]: lines for graph, lines in statements(IRIS.base)}
SDG = "http://metadata.un.org/sdg/"
AREA = "http://metadata.un.org/sdg/codes/geoArea/"

LINES = {
    "C7. E-Health": "C7-ehea",
    "C7 e-health": "C7-ehea",
    "e-Health": "C7-ehea",
    "eHealth": "C7-ehea",
    "AL C7 (E-health)": "C7-ehea",
    "C7-ehea": "C7-ehea",
    "C7. ICT APPLICATIONS: E-HEALTH": "C7-ehea",
    "ICT applications: e-science": "C7-esci",
    "C7 ICT Applications I, e-government": "C7-egov",
    "\u04217. \u0415-health": "C7-ehea",  # both in Cyrillic
    "\u04212": "C2",
    "\u0441 2": "C2",
    "\uff23\uff12": "C2",  # full width
    "C7": "C7",
    "C7: ICT applications": "C7",
    "C 5": "C5",
    "c05": "C5",
    "C10": "C10",
    "C1": "C1",
    "Action line C11": "C11",
    "WSIS Action Line C4: Capacity building": "C4",
    "C3: Access to information knowledge": "C3",
    "C11. INTERNATIONAL AND REGIONAL COOPERATION": "C11",
    "Media": "C9",
    "Renforcement des capacités": None,
    "Le renforcement des capacités": "C4",
    "Электронное здравоохранение": "C7-ehea",
    "能力建设": "C4",
    "C12": None,
    "C0": None,
    "C": None,
    "": None,
    "C1, C2": None,
    "C1; C7 e-health": None,
    "C3. Media": None,
    "C4. E-health": None,
    "C7.4": None,
    "C7: e-health and e-learning": None,
    "C4 plants": None,
    "C4ISR": None,
    "health": None,
    "information": None,
}

GOALS = {
    "SDG 4": "4",
    "SDG4": "4",
    "#SDG4": "4",
    "sdg-04": "4",
    "Goal 4": "4",
    "goal 04.": "4",
    "UN SDG 17": "17",
    "SDG4: Quality education": "4",
    "SDG 4 - Quality Education": "4",
    "4 - Quality Education": "4",
    "4. Quality education": "4",
    "Goal 16: Peace and Justice Strong Institutions": "16",
    "Quality education": "4",
    "Ensure inclusive and equitable quality education and promote lifelong learning opportunities for all": "4",
    "4": "4",
    4: "4",
    "\u0664": "4",  # the digit in Arabic
    "\uff14": "4",
    "ODD 4": "4",
    "ODS 4": "4",
    "Objetivo 4: Educación de calidad": "4",
    "Цель 4": "4",
    "目标4:优质教育": "4",
    "الهدف 4": "4",
    "Éducation de qualité": "4",
    "Качественное образование": "4",
    "优质教育": "4",
    "http://metadata.un.org/sdg/4": "4",
    "https://metadata.un.org/sdg/4": "4",
    "education": None,
    "": None,
    "SDG": None,
    "0": None,
    18: None,
    -4: None,
    "-4": None,
    "4.4": None,
    "SDG 4.4": None,
    "Target 4": None,
    "4 Mbps": None,
    "4 - projects": None,
    "SDG 4 and SDG 5": None,
    "SDG 4: Gender equality": None,
    "4, 5": None,
    "2030": None,
}

TARGETS = {
    "4.4": "4.4", "04.04": "4.4", "4.b": "4.b", "4.B": "4.b", "Target 4.4": "4.4", "SDG 4.4": "4.4", "SDG target 4.4": "4.4",
    "Cible 4.4": "4.4", "Meta 4.4": "4.4", "17.19": "17.19", "16.10": "16.10", "16.1": "16.1",
    "4.4: By 2030, substantially increase the number of youth": "4.4", "http://metadata.un.org/sdg/4.4": "4.4", "\uff14.\uff14": "4.4",
    "4": None, "4.9": None, "4.d": None, "4.4.1": None, "18.1": None, "4.4 Mbps": None, "4.4, 4.5": None, "1.5 degrees": None, "": None,
}  # fmt: skip

COUNTRIES = {
    "Kenya": "404",
    "KENYA": "404",
    " kenya ": "404",
    "KE": "404",
    "KEN": "404",
    "404": "404",
    404: "404",
    4: "004",
    "004": "004",
    "肯尼亚": "404",
    "كينيا": "404",
    "Кения": "404",
    "Kenia": "404",
    "the Republic of Kenya": "404",
    "Kenya, Republic of": "404",
    "http://metadata.un.org/sdg/codes/geoArea/404": "404",
    "Iran (Islamic Republic of)": "364",
    "Iran, Islamic Rep.": "364",
    "Tanzania, United Republic of": "834",
    "Tanzania": "834",
    "MONTENEGRO (REPUBLIC OF)": "499",
    "KOREA (REP. OF)": "410",
    "Korea, Republic of": "410",
    "South Korea": "410",
    "North Korea": "408",
    "Korea, Democratic People's Republic of": "408",
    "Congo": "178",
    "Congo, Democratic Republic of the": "180",
    "DR Congo": "180",
    "COTE D'IVOIRE": "384",
    "Ivory Coast": "384",
    "Türkiye": "792",
    "Turkey": "792",
    "Sudan": "729",
    "South Sudan": "728",
    "Guinea": "324",
    "Guinea Bissau": "624",
    "Dominica": "212",
    "Dominican Republic": "214",
    "Samoa": "882",
    "Viet Nam": "704",
    "Vietnam": "704",
    "UK": "826",
    "USA": "840",
    "Czech Republic": "203",
    "Swaziland": "748",
    "ke": None,  # a code in small letters may be a word: "no", "it", "is"
    "no": None,
    "Korea": None,
    "Virgin Islands": None,
    "Saint-Martin": None,
    "Africa": None,
    "World": None,
    "001": None,
    "999": None,
    "INTERNATIONAL": None,
    "Kenya, Uganda": None,
    "": None,
}

NAMED = [
    ("stakeholder_type", "stakeholder-type", "Private sector", "business-entity"),
    ("stakeholder_type", "stakeholder-type", "BUSINESS ENTITY", "business-entity"),
    (
        "stakeholder_type",
        "stakeholder-type",
        "international-organization",
        "international-organization",
    ),
    ("stakeholder_type", "stakeholder-type", "NGO", "civil-society"),
    # by the IATI crosswalk
    ("stakeholder_type", "stakeholder-type", "National NGO", "civil-society"),
    ("stakeholder_type", "stakeholder-type", "Gouvernement", "government"),
    ("stakeholder_type", "stakeholder-type", "people", None),
    ("coverage", "coverage", "Global", "international"),
    ("coverage", "coverage", "national", "national"),
    ("coverage", "coverage", "10 km", None),
    ("status", "status", "On-going", "ongoing"),
    ("status", "status", "Closed", "completed"),
    ("status", "status", "unknown", None),
    ("activity_type", "activity-type", "Training initiative", "training"),
    ("activity_type", "activity-type", "Programme", "programme"),
    ("activity_type", "activity-type", "software", "software"),
    ("activity_type", "activity-type", "hardware", None),
    ("prize_stage", "prize-stage", "Winners", "winner"),
    ("prize_stage", "prize-stage", "nominee", "nominated"),
    ("prize_stage", "prize-stage", "DPG", None),
    ("prize_category", "prize-category", "C7. ICT APPLICATIONS: E-HEALTH", "C7-ehea"),
    ("prize_category", "prize-category", "C9. MEDIA", "C9"),
    ("prize_category", "prize-category", "C7", None),
    ("iati_organisation_type", "stakeholder-type", "10", "government"),
    ("iati_organisation_type", "stakeholder-type", "22", "civil-society"),
    ("iati_organisation_type", "stakeholder-type", "99", None),
    ("iati_activity_scope", "coverage", "1", "international"),
    ("iati_activity_scope", "coverage", "8", "local"),
    ("iati_activity_scope", "coverage", "Global", None),
]


@each("text, code", LINES.items())
def test_an_action_line_is_found_by_what_names_it(text: str, code: str | None) -> None:
    assert WALK.action_line(text) == (code and IRIS.concept("action-line", code))


@each("text, code", GOALS.items())
def test_a_goal_is_found_by_what_names_it(text: str | int, code: str | None) -> None:
    assert goal(text) == (code and SDG + code)


@each("text, code", TARGETS.items())
def test_a_target_is_found_by_what_names_it(text: str, code: str | None) -> None:
    assert target(text) == (code and SDG + code)


@each("text, code", COUNTRIES.items())
def test_a_country_is_found_by_what_names_it(text: str | int, code: str | None) -> None:
    assert country(text) == (code and AREA + code)


@each("method, scheme, text, code", NAMED)
def test_a_concept_is_found_by_what_names_it(
    method: str, scheme: str, text: str, code: str | None
) -> None:
    assert getattr(WALK, method)(text) == (code and IRIS.concept(scheme, code))


@each(
    "text, code",
    [("Africa", "002"), ("Eastern Africa", "014"), ("001", "001"), ("Kenya", "404"), ("dc", None)],
)
def test_an_area_is_a_country_or_a_region_of_m49(text: str, code: str | None) -> None:
    assert area(text) == (code and AREA + code)


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
    lines = [
        (concept, concept.iri, WALK.action_line)
        for concept in concepts("action-line", IRIS.base).values()
    ]
    goals = [
        (concept, concept.iri, goal)
        for concept in concepts("sdg").values()
        if f"{SDG}ontology#Goal" in concept.types
    ]
    targets = [
        (concept, concept.iri, target)
        for concept in concepts("sdg").values()
        if f"{SDG}ontology#Target" in concept.types
    ]

    lost = [
        (iri, name.value)
        for item, iri, find in (*lines, *goals, *targets)
        for name in item.labels
        if find(name.value) != iri
    ]

    assert len(goals) + len(targets) == 186
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

    assert here.status("ongoing") == "https://here.example/scheme/status/ongoing"
    assert there.status("ongoing") == "https://there.example/scheme/status/ongoing"


@each(
    "code, concepts_named",
    [("14050", ()), ("15190", ()), ("12220", ("3",)), ("11220", ("4",)), ("140", ("6",)), ("22010", ("9",)), ("22011", ("9",)),
     ("22081", ("C4",)), ("210", ()), ("240", ()), ("250", ()), ("331", ()), ("99810", ()), ("", ())],
)  # fmt: skip
def test_a_purpose_code_matches_what_its_own_name_names(
    code: str, concepts_named: tuple[str, ...]
) -> None:
    assert tuple(iri.rpartition("/")[2] for iri in WALK.dac_purpose(code)) == concepts_named


@each("code, matched", [("1", ("5",)), ("7", ("13",)), ("2", ()), ("13", ())])
def test_a_policy_marker_matches_the_goal_that_it_names(
    code: str, matched: tuple[str, ...]
) -> None:
    assert tuple(iri.rpartition("/")[2] for iri in WALK.iati_policy_marker(code)) == matched


def test_that_a_word_concerns_a_goal_or_an_action_line_is_no_mapping() -> None:
    """Mappings of SKOS lead to lists of the same kind; a sector or purpose is not a goal (decision
    175).
    """
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
        goal(text), target(text), country(text), area(text), WALK.action_line(text), WALK.status(text),
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
