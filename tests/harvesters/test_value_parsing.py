from __future__ import annotations

from typing import Any

from replay import crosswalks
from rows import each

from harvesters.mappings.mapping import normalize_members
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup, sort_claims
from harvesters.payloads.value_parsing import (
    html_to_text,
    normalize_date,
    parse_language,
    parse_number,
    strip_contacts,
    unique_non_contact,
)
from vocab.initiative import Basis, Claim, File, Text


@each(
    "value, read",
    [
        ("2024", "2024"), ("2024-05", "2024-05"), ("2024-05-01", "2024-05-01"), (" 2024-05-01 ", "2024-05-01"),
        ("2024-05-01 00:00:00", "2024-05-01"), ("2024-05-01T00:00:00Z", "2024-05-01T00:00:00Z"),
        ("2024-05-01 10:20", "2024-05-01T10:20"), ("2024-05-01T10:20:30.1234567+0300", "2024-05-01T10:20:30.123456+0300"),
        ("01/02/2024", "01/02/2024"), ("soon", "soon"), ("", None), (None, None), (2024, "2024"), (True, None), (["2024"], None),
    ],
)  # fmt: skip
def test_a_date_is_read_where_there_is_one_way_to_read_it(value: Any, read: str | None) -> None:
    assert normalize_date(value) == read


def test_a_definition_can_say_how_dates_are_written() -> None:
    dates = [normalize_date("01/02/2024", [form]) for form in ("%d/%m/%Y", "%m/%d/%Y", "%Y")]

    assert dates == ["2024-02-01", "2024-01-02", "01/02/2024"]


@each(
    "value, read",
    [("1.5", 1.5), (2, 2.0), ("1,5", None), ("nan", None), ("1e999", None), (None, None), (True, None)],
)  # fmt: skip
def test_a_number_is_finite_and_has_a_point(
    value: str | int | bool | None, read: float | None
) -> None:
    assert parse_number(value) == read


@each(
    "value, left",
    [("write to jane.doe+x@mail.example.org!", "write to […]!"), ("mailto:info@example.org", "[…]"),
     ("call +41 (0)22 730 51 11 or Tel: 022 730 5111", "call […] or […]"), ("Fax. 0041-22-730-5111", "[…]"),
     ("from 2019-05-01 to 2021-12-31, 1 000 000 people", "from 2019-05-01 to 2021-12-31, 1 000 000 people"),
     ("ISBN 978-3-16-148410-0, +20 % a year, a @ b", "ISBN 978-3-16-148410-0, +20 % a year, a @ b")],
)  # fmt: skip
def test_contacts_are_left_out_and_other_numbers_are_not(value: str, left: str) -> None:
    assert strip_contacts(value) == left


def test_a_long_word_costs_no_more_than_its_length_and_a_mail_address_is_not_kept() -> None:
    text = "a" * 300_000 + " @ " + "1 " * 3 + " " * 300_000 + "tel" * 10_000

    assert strip_contacts(text) == text

    assert unique_non_contact(["a", "", "info@example.org", "a", "mailto:x@example.org"]) == ("a",)


@each(
    "word, tag",
    [("pt-BR", "pt-BR"), ("zh_Hans", "zh-Hans"), ("ger", "de"), ("swa", "sw"), ("Arabic", "ar"), ("xx", None)],
)  # fmt: skip
def test_a_language_is_named_by_its_shortest_tag(word: str, tag: str | None) -> None:
    assert parse_language(word) == tag


def test_free_words_declare_only_what_they_name() -> None:
    lookup = CrosswalkLookup(crosswalks())
    words = ["SDG 4", "4", "SDG 4.4", "C7. E-Health", "education", "SDG 4.4, SDG 4"]

    assert [
        [claim.concept.rpartition("/")[2] for claim in lookup.keyword(word)] for word in words
    ] == [["4"], [], ["4.4"], ["C7-ehea"], [], ["4.4", "4"]]


@each(
    "word, place, end",
    [("Media", "action_lines", "/C9"), ("Capacity building", "action_lines", "/C4"),
     ("Gender equality", "goals", "/5"), ("SDG 4", "goals", "/4"),
     ("SDG target 4.4", "targets", "/4.4")],
)  # fmt: skip
def test_a_keyword_that_equals_a_label_is_crosswalked_with_its_word_and_scheme(
    word: str, place: str, end: str
) -> None:
    (claim,) = sort_claims(CrosswalkLookup(crosswalks()).keyword(word))[place]

    scheme = crosswalks().iris.scheme("action-line" if place == "action_lines" else "sdg")
    assert claim.concept.endswith(end)
    assert (claim.basis, claim.word, claim.crosswalk) == (Basis.CROSSWALKED, word, scheme)


def test_a_keyword_that_is_the_iri_of_a_goal_declares_it() -> None:
    (claim,) = CrosswalkLookup(crosswalks()).keyword("http://metadata.un.org/sdg/9")

    assert claim.basis is Basis.DECLARED


@each("word", ["C2", "\u0421 4", "4", "4.4", "4.b", "2030", "c05"])
def test_a_bare_code_among_keywords_stays_a_word(word: str) -> None:
    assert CrosswalkLookup(crosswalks()).keyword(word) == ()


def test_a_coded_field_is_declared_by_our_label_and_crosswalked_by_any_other_name() -> None:
    lookup = CrosswalkLookup(crosswalks())

    assert lookup.status("Completed") == crosswalks().iris.concept("status", "completed")
    assert lookup.status("closed") == Claim(
        crosswalks().iris.concept("status", "completed"),
        Basis.CROSSWALKED,
        "closed",
        crosswalk=crosswalks().iris.scheme("status"),
    )
    assert lookup.status("unheard of") == "unheard of"


def test_a_bare_number_is_a_goal_where_goals_are_declared() -> None:
    declared = CrosswalkLookup(crosswalks()).declared
    words = {
        "action_lines": ["C4", "moon"],
        "goals": ["4", "4.4", "x", "1, 6"],
        "targets": ["5.b", "6"],
    }

    assert {
        name: [
            [claim.concept.rpartition("/")[2] for claim in declared[name](word)] for word in each
        ]
        for name, each in words.items()
    } == {
        "action_lines": [["C4"], []],
        "goals": [["4"], ["4.4"], [], ["1", "6"]],
        "targets": [["5.b"], ["6"]],
    }


@each(
    "sent, text",
    [
        ("&lt;p&gt;One&lt;/p&gt;&lt;p&gt;Two&lt;/p&gt;", "One\n\nTwo"),
        ("&amp;lt;b&amp;gt;One&amp;lt;/b&amp;gt; &amp;amp;amp; two", "One & two"),
        ("<jats:p>One</jats:p><o:p/>", "One"), ('One <a href="https://a.example/', "One"),
        ("<unk>One</unk>", "One"), ("<p hidden>One</p>", "One"),
        ("caf&eacute;&nbsp;&#8211; &quot;bar&quot;", 'café – "bar"'), ("<p>5 < 7 & R&D</p>", "5 < 7 & R&D"), ("<!-- a --><br>One", "One"),
        ("5 &lt; 7", "5 < 7"), ("x<y and z>3", "x<y and z>3"), ("a<b and c>d", "a<b and c>d"),
        ("a<b>c", "a<b>c"), ("Hello <name>", "Hello <name>"),
        ("AT&T; R&D", "AT&T; R&D"), ("https://a.example/?a=1&copy=2", "https://a.example/?a=1&copy=2"),
        ("One\n\ntwo &amp; three", "One\n\ntwo & three"),
    ],
)  # fmt: skip
def test_tags_and_entities_are_removed_and_comparisons_stay(sent: str, text: str) -> None:
    assert html_to_text(sent) == text


def test_titles_and_descriptions_of_a_record_and_its_files_lose_their_markup() -> None:
    values: dict[str, Any] = {
        "titles": (Text("Skills &amp; <i>jobs</i>", "en"), Text("5 < 7", "fr")),
        "descriptions": (Text("&lt;p&gt;Ask jane&#64;a.example&lt;/p&gt;&lt;p&gt;Two&lt;/p&gt;"),),
        "files": (File("https://a.example/a", titles=(Text("A &amp; B"),)),),
    }

    normalize_members(values)

    assert values["titles"] == (Text("Skills & jobs", "en"), Text("5 < 7", "fr"))
    assert values["descriptions"] == (Text("Ask […]\n\nTwo"),)
    assert values["files"][0].titles == (Text("A & B"),)
    assert values["markup"] == ("title", "description")


@each(
    "word, area",
    [("Congo (Congo-Brazzaville)", "178"), ("Czechia (Czech Republic)", "203"), ('Eswatini (fmr. "Swaziland")', "748"),
     ("Micronesia (Federated States of)", "583"), ("Congo (Congo-Kinshasa)", None), ("Kenya (Nairobi)", None)],
)  # fmt: skip
def test_a_country_may_be_named_twice_but_not_with_the_name_of_another(
    word: str, area: str | None
) -> None:
    iri = f"http://metadata.un.org/sdg/codes/geoArea/{area}" if area else None

    assert crosswalks().country(word) == iri
