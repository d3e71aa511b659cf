from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from pyoxigraph import Literal, NamedNode, RdfFormat, Store

from vocab.iris import Iris
from vocab.schemes import concepts, statements
from vocab.terms import ADMS, DCT, RDF, SCHEMA, SKOS

IRIS = Iris()
NS = IRIS.ns
XL = "http://www.w3.org/2008/05/skos-xl#"
AREA = "http://metadata.un.org/sdg/codes/geoArea/"
OTHERS = {"ar": "Arabic", "zh": "Chinese", "fr": "French", "ru": "Russian", "es": "Spanish"}
LANGUAGES = {"en": "en", "ar": "ar", "zh": "zh-Hans", "fr": "fr", "ru": "ru", "es": "es"}


@pytest.fixture(scope="module")
def store() -> Store:
    filled = Store()
    for graph, lines in statements():
        filled.load(
            "".join(f"{line} <{graph}> .\n" for line in lines).encode(), format=RdfFormat.N_QUADS
        )
    return filled


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def loaded(path: Path) -> Store:
    (own := Store()).load(path=str(path), format=RdfFormat.TURTLE)
    return own


def pairs(
    store: Store, predicate: str, subject: str | None = None
) -> Iterator[tuple[str, Literal | NamedNode]]:
    about = NamedNode(subject) if subject else None
    for quad in store.quads_for_pattern(about, NamedNode(predicate), None, None):
        if isinstance(quad.object, Literal | NamedNode) and isinstance(quad.subject, NamedNode):
            yield quad.subject.value, quad.object


def values(store: Store, subject: str, predicate: str) -> set[str]:
    return {item.value for _, item in pairs(store, predicate, subject)}


def having(store: Store, predicate: str, value: str = "") -> set[str]:
    return {
        subject for subject, item in pairs(store, predicate) if item.value == value or not value
    }


def texts(store: Store, subject: str, predicate: str) -> set[tuple[str, str | None]]:
    return {
        (item.value, item.language)
        for _, item in pairs(store, predicate, subject)
        if isinstance(item, Literal)
    }


def names(store: Store, subject: str, *kinds: str) -> set[tuple[str, str | None]]:
    return {
        name
        for kind in kinds or ("prefLabel", "altLabel")
        for name in texts(store, subject, f"{SKOS}{kind}")
    }


def provisional_titles(store: Store) -> set[tuple[str, str, str | None]]:
    """Return the code, title and language of each label of an action line that is a translation of
    ours and has no source.
    """
    return {
        (line.notations[0], *form)
        for line in concepts("action-line").values()
        for label in values(store, line.iri, f"{XL}prefLabel")
        if f"{NS}provisional" in values(store, label, f"{ADMS}status")
        and not values(store, label, f"{DCT}source")
        for form in texts(store, label, f"{XL}literalForm")
    }


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def clean(text: str, code: str) -> str:
    """Return a title as the vocabulary has it: NFC, without soft hyphens, tatweel, footnote marks
    and references of cells.
    """
    text = plain(unicodedata.normalize("NFC", re.sub("[\u00ad\u0640]|\\+B[0-9]+", "", text)))
    return re.sub(r" ?[(]?3[)]?$", "", text) if code == "14.6" else text


# These titles are from found-2026.md, where missing ones were added and ones from memory confirmed.
FOUND_SINCE = {
    ("C1", "دور الحكومات وجميع أصحاب المصلحة في النهوض بتكنولوجيا المعلومات والاتصالات من أجل التنمية", "ar"),
    ("C5", "树立使用ICT的信心并提高安全性", "zh"),
}  # fmt: skip
# Preferred labels are of one variant in all languages, so that two are the first parts of longer
# French headings.
SHORTENED = {
    ("C2", "L'infrastructure de l'information et de la communication", "fr"),
    ("C7", "Les applications TIC", "fr"),
}
CONFIRMED_SINCE = {("C3", "French"), ("C2", "Chinese")}


def test_action_lines_have_the_titles_of_the_facts_and_no_others(store: Store, facts: Path) -> None:
    official = {
        (row["code"], row["title"], row["lang"]) for row in rows(facts / "action_line_titles.csv")
    }

    results = {
        (concept.notations[0], *name)
        for concept in concepts("action-line").values()
        for name in names(store, concept.iri)
    }

    assert results - provisional_titles(store) == official | FOUND_SINCE | SHORTENED | {
        (code, f"C7. ICT applications: benefits in all aspects of life — {title}", "en")
        for code, title, language in official
        if code.startswith("C7-") and language == "en" and title.lower().startswith("e-")
    }


def test_preferred_titles_of_one_line_are_of_one_variant_in_all_languages(store: Store) -> None:
    """A heading of two parts or of the Tunis Agenda is an alternative label, in each language."""
    preferred = {
        (line.notations[0], *name)
        for line in concepts("action-line").values()
        for name in names(store, line.iri, "prefLabel")
    }

    assert [
        title
        for title in preferred
        if ":" in title[1] or "public governance" in title[1] or "leur apport" in title[1]
    ] == []
    assert preferred >= SHORTENED


def test_each_label_of_an_action_line_is_one_resource_with_one_text_or_says_that_it_is_unverified(
    store: Store,
) -> None:
    for kind in ("prefLabel", "altLabel"):
        for line in concepts("action-line").values():
            forms = {
                form: [
                    values(store, label, name) for name in (f"{DCT}source", f"{SKOS}editorialNote")
                ]
                for label in values(store, line.iri, f"{XL}{kind}")
                for form in texts(store, label, f"{XL}literalForm")
            }

            assert set(forms) == names(store, line.iri, kind)
            for origins, notes in forms.values():
                assert len(origins) == 1 or (
                    not origins and any("nverified" in note for note in notes)
                )


def test_every_title_from_memory_is_marked_unverified_and_no_copied_one_is(
    store: Store, facts: Path
) -> None:
    official = {
        (row["code"], OTHERS[row["lang"]])
        for row in rows(facts / "action_line_titles.csv")
        if "memory" in row["sureness"]
    }

    marked = {
        (concept.notations[0], language)
        for concept in concepts("action-line").values()
        for note in values(store, concept.iri, f"{SKOS}editorialNote")
        for language in OTHERS.values()
        if language in note and "unverified" in note and not note.startswith("No ")
    }

    assert marked == official - CONFIRMED_SINCE


def test_a_title_that_was_not_found_is_a_provisional_one_without_a_source(store: Store) -> None:
    provisional = provisional_titles(store)
    noted = {
        (line.notations[0], tag)
        for line in concepts("action-line").values()
        for note in values(store, line.iri, f"{SKOS}editorialNote")
        for tag, language in OTHERS.items()
        if note.startswith("No ") and language in note
    }

    assert noted == {(code, tag) for code, _, tag in provisional}
    assert len(provisional) == 14


def test_only_types_that_happen_refer_to_activities_of_prov(store: Store) -> None:
    activity = "http://www.w3.org/ns/prov#Activity"
    types = {item.notations[0]: item.iri for item in concepts("activity-type").values()}

    assert {name for name, iri in types.items() if activity in values(store, iri, "http://www.w3.org/2000/01/rdf-schema#seeAlso")} == {
        "project", "programme", "training", "conference",
    }  # fmt: skip


def test_goals_and_targets_have_the_titles_and_iris_of_the_facts(store: Store, facts: Path) -> None:
    codes = {
        code: concept.iri for concept in concepts("sdg").values() for code in concept.notations
    }

    for row in rows(facts / "sdg-6lang" / "sdg_goals_targets_indicators_6lang.csv"):
        if row["type"] == "Indicator":
            continue
        iri = row["iri_metadata_un_org"]
        assert codes[row["code"]] == iri
        titles = {
            (clean(row[f"title_{LANGUAGES[language]}"], row["code"]), language)
            for language in ("ar", "zh", "ru")
        }
        result = names(store, iri, "prefLabel")
        assert {
            title for title in titles if title[1] in {language for _, language in result}
        } <= result


def test_english_french_and_spanish_titles_are_the_united_nations_own_unless_they_are_revised(
    store: Store, facts: Path
) -> None:
    official: dict[tuple[str, str | None], set[str]] = {}
    file = facts / "sdg-kos" / "sdg-kos-goals-targets-indicators.ttl"
    for iri, title in pairs(loaded(file), f"{SKOS}prefLabel"):
        if isinstance(title, Literal) and iri in concepts("sdg"):
            text = clean(title.value, iri.rpartition("/")[2]).replace("2030,halve", "2030, halve")
            official.setdefault((iri, title.language), set()).add(text)
    revised = {
        iri
        for iri in concepts("sdg")
        if "https://github.com/UNStats/LOD4Stats" not in values(store, iri, f"{DCT}source")
    }

    results = {
        (iri, language): text
        for iri in concepts("sdg")
        for text, language in names(store, iri, "prefLabel")
    }

    # The French text of 17.13 in the United Nations' file ends in words of indicator 12.2.2.
    assert {
        key for key in official if key[0] not in revised and results[key] not in official[key]
    } == {("http://metadata.un.org/sdg/17.13", "fr")}


def test_short_titles_of_goals_are_those_of_the_facts(store: Store, facts: Path) -> None:
    official = [
        row
        for row in rows(facts / "sdg-6lang" / "sdg_goals_targets_indicators_6lang.csv")
        if row["type"] == "Goal"
    ]

    missing = [
        (row["code"], language)
        for row in official
        for language, column in LANGUAGES.items()
        if (plain(row[f"short_{column}"]), language) not in names(store, row["iri_metadata_un_org"])
    ]

    assert missing == []


# Sao Tome and Principe graduated on 13 December 2024; the list of the facts is older.
GRADUATED = {f"{AREA}678"}


def test_a_country_is_in_the_group_of_the_newest_list(store: Store) -> None:
    lists = having(store, f"{RDF}type", f"{NS}CountryList")
    newest = {one for one in lists if not values(store, one, f"{DCT}isReplacedBy")}

    counts = {}
    for one in newest:
        (group,) = values(store, one, f"{DCT}subject")
        listed = values(store, one, f"{NS}listedCountry")
        assert listed == {
            iri
            for iri in concepts("area")
            if group in values(store, iri, f"{SKOS}broader") and iri[-3:].isdigit()
        }
        counts[one.rpartition("/")[2]] = len(listed)

    assert counts == {"ldc-2024-12-13": 44, "lldc-undated": 32, "sids-undated": 53}


def test_the_years_of_least_developed_countries_agree_with_their_lists(store: Store) -> None:
    """The newest list has the countries that were added and did not graduate; the older one also
    has those that graduated after it.
    """
    added: dict[str, str] = {}
    graduated: dict[str, str] = {}
    for membership in having(store, f"{RDF}type", f"{NS}GroupMembership"):
        (country,) = values(store, membership, f"{DCT}spatial")
        (added[country],) = values(store, membership, f"{SCHEMA}startDate")
        graduated |= (
            dict.fromkeys([country], year)
            if (year := "".join(values(store, membership, f"{SCHEMA}endDate")))
            else {}
        )

    older, newer = (
        values(store, f"{IRIS.base}country-lists/ldc-{date}", f"{NS}listedCountry")
        for date in ("2023-12-13", "2024-12-13")
    )
    assert (older - newer, newer - older) == (GRADUATED, set())
    assert set(added) - set(graduated) == newer
    assert {country for country, year in graduated.items() if year == "2024"} == older - newer
    assert (len(added), len(graduated)) == (52, 8)
    assert (added[f"{AREA}728"], graduated[f"{AREA}072"]) == ("2012", "1994")
    assert all(added[country] < year for country, year in graduated.items())


def test_countries_have_the_codes_groups_and_formal_names_of_the_facts(
    store: Store, facts: Path
) -> None:
    official = {
        f"{AREA}{row['M49'].zfill(3)}": row
        for row in rows(facts / "codelists" / "country-codes_country-codes.csv")
    }
    countries = {iri for iri, element in concepts("area").items() if f"{AREA}co" in element.types}

    # The United Nations' file has no area with the number 158.
    assert set(official) - countries == {f"{AREA}158"}
    assert countries - set(official) == set()
    for iri in countries:
        row = official[iri]
        assert concepts("area")[iri].codes == (row["ISO3166-1-Alpha-2"], row["ISO3166-1-Alpha-3"])
        assert values(store, iri, f"{NS}ituCode") == {row["ITU"].strip()} - {""}
        groups = {
            "ldc": "Least Developed Countries (LDC)",
            "sids": "Small Island Developing States (SIDS)",
        }
        for group, column in groups.items():
            graduated = group == "ldc" and iri in GRADUATED
            assert (f"{AREA}{group}" in values(store, iri, f"{SKOS}broader")) == (
                bool(row[column]) and not graduated
            )
        lldc = IRIS.concept("area", "lldc") in values(store, iri, f"{SKOS}broader")
        assert lldc == bool(row["Land Locked Developing Countries (LLDC)"])


def test_member_states_have_the_names_of_unterm_as_preferred_labels(
    store: Store, facts: Path
) -> None:
    official = {
        (f"{AREA}{row['M49'].zfill(3)}", short_name(row[f"UNTERM {name} Short"]), language)
        for row in rows(facts / "codelists" / "country-codes_country-codes.csv")
        for language, name in {"en": "English", **OTHERS}.items()
        if row[f"UNTERM {name} Short"].strip()
    }

    results = {(iri, *name) for iri in concepts("area") for name in names(store, iri, "prefLabel")}

    assert len(official) == 6 * 195
    assert official - results == set()


def short_name(text: str) -> str:
    """Return a name of UNTERM without its article and its asterisks: "Bahamas (les)", "Niue **"."""
    text = unicodedata.normalize("NFC", plain(text.replace("*", "")))
    return re.sub(r"\s*\((?:l'|l’|le|la|les|el|los|las|the)\)$", "", text)


def test_an_area_has_at_most_one_item_of_wikidata_and_of_geonames_and_shares_none(
    store: Store,
) -> None:
    for prefix in ("http://www.wikidata.org/entity/", "https://sws.geonames.org/"):
        by_area = [
            [item for item in values(store, iri, f"{SKOS}exactMatch") if item.startswith(prefix)]
            for iri in concepts("area")
        ]
        items = [item for those in by_area for item in those]

        assert len(items) == len(set(items))
        assert max(map(len, by_area)) == 1


def test_every_number_of_m49_is_an_area_with_the_united_nations_name(
    store: Store, facts: Path
) -> None:
    official = {
        iri: name.value
        for iri, name in pairs(loaded(facts / "sdg-kos" / "sdg-codes.ttl"), f"{SKOS}prefLabel")
        if re.fullmatch(rf"{AREA}\d{{3}}", iri)
        and isinstance(name, Literal)
        and name.language == "en"
    }

    results = {
        iri: {text for text, language in names(store, iri) if language == "en"} for iri in official
    }

    assert [iri for iri, name in official.items() if name not in results[iri]] == []


def test_the_matrix_has_the_links_of_the_facts_but_for_two_errors(
    store: Store, facts: Path
) -> None:
    goals = {
        f"{row['action_line']}-{row['sdg']}" for row in rows(facts / "matrix_goals_compare.csv")
    }
    targets = {
        f"{row['action_line']}-{row['target_or_goal']}"
        for row in rows(facts / "matrix_targets.csv")
    }

    assert having(store, f"{NS}linkStatus") == {
        f"{IRIS.base}matrix/{link}" for link in (goals | targets) - {"C7-ebus-3", "C7-eenv-16"}
    }


def test_three_links_of_the_matrix_are_disputed_and_five_doubtful_ones_are_kept(
    store: Store,
) -> None:
    disputed, agreed = (
        having(store, f"{NS}linkStatus", f"{NS}{name}") for name in ("disputed", "agreed")
    )

    assert disputed == {f"{IRIS.base}matrix/{link}" for link in ("C4-8", "C8-5", "C8-9")}
    assert {
        f"{IRIS.base}matrix/{link}" for link in ("C2-8", "C3-4", "C7-ebus-2", "C7-eenv-14", "C9-5")
    } <= agreed


def test_every_link_of_the_matrix_names_the_versions_that_have_it(
    store: Store, facts: Path
) -> None:
    columns = [
        "by_action_2019", "by_goal_2019", "by_target_2019", "by_action_2017-02-24", "by_goal_2017-02-24",
    ]  # fmt: skip
    dropped = {f"{IRIS.base}matrix/C7-ebus-3", f"{IRIS.base}matrix/C7-eenv-16"}

    for row in rows(facts / "matrix_goals_compare.csv"):
        link = f"{IRIS.base}matrix/{row['action_line']}-{row['sdg']}"
        official = {
            f"{IRIS.base}matrix/version/{column.replace('_', '-')}"
            for column in columns
            if row[column] == "1"
        }

        assert link in dropped or values(store, link, f"{DCT}source") == official


@pytest.mark.parametrize(
    ("scheme", "file"),
    [("iati-organisation-type", "iati_OrganisationType.xml"), ("iati-activity-scope", "iati_ActivityScope.xml")],
)  # fmt: skip
def test_each_iati_crosswalk_has_every_code_of_its_list_and_matches_it_once(
    scheme: str, file: str, facts: Path
) -> None:
    official = {
        item.findtext("code", "")
        for item in ElementTree.parse(facts / "codelists" / file).iter("codelist-item")
    }

    results = {concept.notations[0]: len(concept.matches) for concept in concepts(scheme).values()}

    assert results == dict.fromkeys(official, 1)


def test_goals_targets_and_indicators_have_the_subjects_that_the_united_nations_assign(
    store: Store, facts: Path
) -> None:
    file = facts / "sdg-kos" / "sdg-kos-subject-mappings.ttl"
    official = {
        (iri, subject.value)
        for iri, subject in pairs(loaded(file), f"{DCT}subject")
        if isinstance(subject, NamedNode) and iri in concepts("sdg")
    }

    results = {
        (iri, subject)
        for iri in concepts("sdg")
        for subject in values(store, iri, f"{SKOS}relatedMatch")
    }

    assert len(official) > 400
    assert results == official
