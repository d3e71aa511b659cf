from __future__ import annotations

from rows import each

from shapes.validate import validate_many
from vocab.describe import describe
from vocab.identifiers import SCHEMES, Identifier, parse_identifier, well_known_organizations
from vocab.initiative import Document, Initiative, Party, Role, Text
from vocab.iris import Iris

IRIS = Iris()
RIGHT = [
    ("https://ror.org/03yrm5c26", "organization", "ror", "03yrm5c26", "https://ror.org/03yrm5c26"),
    ("ROR: 01ggx4157", "organization", "ror", "01ggx4157", "https://ror.org/01ggx4157"),
    ("LEI: 5493001KJTIIGC8Y1R12", "organization", "lei", "5493001KJTIIGC8Y1R12", ""),
    (
        "ISNI: 0000 0001 2103 2683", "organization", "isni", "0000000121032683", "https://isni.org/isni/0000000121032683",
    ),
    (
        "https://www.wikidata.org/wiki/Q1049", "organization", "wikidata", "Q1049", "http://www.wikidata.org/entity/Q1049",
    ),
    ("D-U-N-S Number: 15-048-3782", "organization", "duns", "150483782", ""),
    ("XM-DAC-41114", "organization", "org-id", "XM-DAC-41114", ""),
    ("org-id: GB-CHC-202918", "organization", "org-id", "GB-CHC-202918", ""),
    ("iati:GB-GOV-1-300123", "initiative", "iati", "GB-GOV-1-300123", ""),
    (
        "https://projects.worldbank.org/en/projects-operations/project-detail/P123456", "initiative", "world-bank", "P123456", "",
    ),
    ("https://cordis.europa.eu/project/id/101070000", "initiative", "cordis", "101070000", ""),
    (
        "https://doi.org/10.5281/Zenodo.123", "document", "doi", "10.5281/zenodo.123", "https://doi.org/10.5281/zenodo.123",
    ),
    ("doi:10.5281/zenodo.123", "initiative", "doi", "10.5281/zenodo.123", ""),
    *(
        (text, "document", "doi", "10.5281/zenodo.123", "https://doi.org/10.5281/zenodo.123")
        for text in (
            "10.5281/zenodo.123", "DOI 10.5281/zenodo.123", "urn:doi:10.5281/zenodo.123", "info:doi/10.5281/zenodo.123",
            "https://www.doi.org/10.5281/zenodo.123",
        )
    ),
]  # fmt: skip
WRONG = [
    ("https://ror.org/03yrm5c27", "organization"), ("https://ror.org/about", "organization"),
    ("LEI: 5493001KJTIIGC8Y1R13", "organization"), ("ISNI: 0000 0001 2103 2684", "organization"), ("wikidata: P31", "organization"),
    ("DUNS: 1234", "organization"), ("org-id: x", "organization"), ("world bank: 123", "initiative"), ("doi: 11.1/2", "document"),
]  # fmt: skip
OTHERS = [
    "", "123", "ministry-of-health", "my-health-project", "https://example.org/ror", "Error: not one", "x" * 100_000, "\x00", "KE-1",
]  # fmt: skip


@each("text, kind, scheme, value, same_as", RIGHT)
def test_an_identifier_is_recognized_and_has_one_form(
    text: str, kind: str, scheme: str, value: str, same_as: str
) -> None:
    assert parse_identifier(text, kind) == Identifier(scheme, value, True, same_as)


@each("text, kind", WRONG)
def test_a_wrong_digit_or_form_is_not_valid(text: str, kind: str) -> None:
    identifier = parse_identifier(text, kind)

    assert identifier is not None
    assert (identifier.is_valid, identifier.same_as) == (False, "")


@each(
    "text, kind",
    [*((text, kind) for text in OTHERS for kind in ("organization", "initiative")), ("https://ror.org/03yrm5c26", "initiative"),
     ("https://cordis.europa.eu/project/id/101070000", "organization")],
)  # fmt: skip
def test_another_text_or_one_for_another_kind_is_no_identifier(text: str, kind: str) -> None:
    assert parse_identifier(text, kind) is None


@each("name", SCHEMES)
def test_every_scheme_is_read_back_by_its_title(name: str) -> None:
    value, kind = next((value, kind) for _, kind, scheme, value, _ in RIGHT if scheme == name)

    identifier = parse_identifier(f"{SCHEMES[name].title}: {value}", kind)

    assert identifier is not None
    assert (identifier.scheme, identifier.value) == (name, value)


def test_a_valid_identifier_of_an_organization_is_a_statement_of_its_record() -> None:
    party = Party(
        Role.LEAD,
        Text("CDL", "en"),
        identifiers=("https://ror.org/03yrm5c26", "LEI: 5493001KJTIIGC8Y1R12"),
    )

    statements = describe(
        Initiative(key="1", titles=(Text("A", "en"),), parties=(party,)), IRIS, "demo"
    )

    organization = f"<{IRIS.base}id/organization/demo/cdl>"
    record = f"<{IRIS.base}record/demo/1#identifier-"
    assert (
        f"{organization} <http://www.w3.org/2002/07/owl#sameAs> <https://ror.org/03yrm5c26>"
        in statements
    )
    assert (
        f"{organization} <http://www.w3.org/ns/adms#identifier> {record}lei-5493001KJTIIGC8Y1R12>"
        in statements
    )
    assert (
        f'{record}lei-5493001KJTIIGC8Y1R12> <http://www.w3.org/ns/adms#schemaAgency> "LEI"'
        in statements
    )
    assert [
        statement for statement in statements if "sameAs" in statement and "gleif" in statement
    ] == []
    assert statements == sorted(set(statements))


def test_a_page_about_a_thing_is_not_the_same_thing() -> None:
    page = "https://cordis.europa.eu/project/id/101070000"
    statements = describe(Initiative(key="1", pages=(page,)), IRIS, "demo")
    document = describe(
        Document(key="1", pages=("https://doi.org/10.5281/zenodo.123",)), IRIS, "demo"
    )

    assert any('notation> "101070000"' in statement for statement in statements)
    assert not any("sameAs" in statement for statement in statements)
    assert any(
        "sameAs> <https://doi.org/10.5281/zenodo.123>" in statement for statement in document
    )


def test_a_wrong_check_digit_stays_a_text_with_a_remark() -> None:
    party = Party(Role.LEAD, Text("CDL", "en"), identifiers=("https://ror.org/03yrm5c27",))
    resource = Initiative(
        key="1", titles=(Text("A", "en"),), identifiers=("doi:10.1",), parties=(party,)
    )

    statements = describe(resource, IRIS, "demo")
    [results] = validate_many([statements], base=IRIS.base)

    assert any(
        'invalidIdentifier> "https://ror.org/03yrm5c27"' in statement for statement in statements
    )
    assert not any("sameAs" in statement for statement in statements)
    shapes = {str(result.shape).rpartition("#")[2] for result in results}
    assert {"OrganizationIdentifierInvalid", "ResourceIdentifierInvalid"} <= shapes


def test_well_known_organizations_have_valid_identifiers_and_no_acronym_twice() -> None:
    organizations = well_known_organizations()
    identifiers = [parse_identifier(item.identifier, "organization") for item in organizations]
    acronyms = [acronym for item in organizations for acronym in item.acronyms]

    assert all(identifier and identifier.is_valid for identifier in identifiers)
    assert len({item.identifier for item in organizations}) == len(organizations)
    assert sorted(set(acronyms)) == sorted(acronyms)
