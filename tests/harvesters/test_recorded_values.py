from __future__ import annotations

import pytest
import replay

from vocab.initiative import Checksum, Document, Period, Text

from .test_real_feeds import harvested

pytestmark = pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)

SHA1 = "http://spdx.org/rdf/terms#checksumAlgorithm_sha1"


def documents(name: str) -> list[Document]:
    return [item for item in harvested(name)[1] if isinstance(item, Document)]


def of_title(name: str, title: str) -> Document:
    matching = (item for item in documents(name) for text in item.titles if text.value.startswith(title))  # fmt: skip
    return next(matching)


def test_lists_that_a_portal_writes_as_text_are_split() -> None:
    survey = of_title("ckan-samples", "Zimbabwe")

    rights = "Subject to a licence fee. Subject to usual BGS terms and conditions."
    # The portal writes the languages as "en,es,ca", and the years as ["1982"] and ["1986"].
    assert survey.languages == ("en", "es", "ca")
    assert survey.periods == (Period("1982", "1986"),)
    assert (survey.access_rights, survey.frequency) == (rights, "notPlanned")


def test_a_file_keeps_its_names_descriptions_size_and_checksum() -> None:
    multilingual = of_title("ckan-samples", "Conjunt de dades").files[0]
    stations = of_title("ckan-samples", "Reisezentren").files[0]
    checksums = {file.checksum for item in documents("ckan-samples") for file in item.files}

    names = {Text("Resource 1", "en"), Text("Recurs 1", "ca"), Text("Recurso 1", "es")}
    assert {*multilingual.titles} == names
    assert Text("Una descripció qualsevol", "ca") in multilingual.descriptions
    assert stations.size == 10325
    assert stations.descriptions[0].value == "Reisezentrenliste der DB Vertrieb GmbH"
    assert Checksum("4304cf2e751e6053c90b1804c89c0ebb758f395a", SHA1) in checksums


def test_the_contact_of_an_organization_is_kept_and_that_of_a_person_is_not() -> None:
    ((contact,),) = [item.contacts for item in documents("dcat-germany")]
    names = {
        name.value for item in documents("ckan-samples") for contact in item.contacts for name in contact.names
    }  # fmt: skip

    assert contact.names[0].value.startswith("Hanse- und Universitätsstadt Rostock")
    assert (contact.email, contact.page) == ("geodienste@rostock.de", None)
    # The authors John Doe and Michael Binzen are persons, as is LaShann Freeman of the inventory.
    assert names == {"Test Publisher"}
    assert [item.contacts for item in documents("pod-inventory")] == [()] * 6


def test_a_catalogue_keeps_languages_formats_and_checksums_of_older_profiles() -> None:
    item = of_title("dcat-endpoint", "A test dataset on your catalogue")

    # The catalogue has dc:language, not dct:language, and formats like [rdf:value "text/csv"].
    assert set(item.languages) == {"ca", "en", "es"}
    assert {file.form for file in item.files} == {"text/csv", "text/html"}

    files = [file for item in documents("dcat-germany") for file in item.files]

    digests = {(file.checksum.algorithm, len(file.checksum.value)) for file in files if file.checksum}  # fmt: skip

    assert digests == {("http://dcat-ap.de/def/hashAlgorithms/sha/256", 64)}
