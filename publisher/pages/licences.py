"""Names of licences by their addresses, as readers know them."""

from __future__ import annotations

import re

_CREATIVE_COMMONS = re.compile(
    r"https?://creativecommons\.org/(licenses|publicdomain)/([a-z+-]{1,20})(?:/(\d\.\d))?(?:/([a-z]{2,4}))?(?:[/#?]|$)"
)
_OTHERS = {
    "opensource.org/licenses/mit": "MIT",
    "www.apache.org/licenses/license-2.0": "Apache 2.0",
    "opendatacommons.org/licenses/by/1-0": "ODC-By 1.0",
    "opendatacommons.org/licenses/odbl/1-0": "ODbL 1.0",
    "opendatacommons.org/licenses/pddl/1-0": "PDDL 1.0",
    "www.nationalarchives.gov.uk/doc/open-government-licence/version/3": "OGL 3.0",
    "www.etalab.gouv.fr/licence-ouverte-open-licence": "Licence Ouverte",
}


def licence_name(address: str) -> str:
    """Return the short name of the licence at *address*, else the address without its scheme.

    >>> licence_name("https://creativecommons.org/licenses/by-sa/4.0/"), licence_name("http://creativecommons.org/publicdomain/zero/1.0/")
    ('CC BY-SA 4.0', 'CC0 1.0')
    >>> licence_name("https://creativecommons.org/licenses/by/3.0/igo/"), licence_name("https://example.org/terms")
    ('CC BY 3.0 IGO', 'example.org/terms')
    """
    if found := _CREATIVE_COMMONS.match(address):
        family, code, version, port = found.groups()
        name = {"zero": "CC0", "mark": "Public Domain Mark"}.get(code, code.upper()) if family == "publicdomain" else f"CC {code.upper()}"
        return " ".join(filter(None, (name, version, (port or "").upper())))
    plain = address.partition("://")[2] or address
    return _OTHERS.get(plain.lower().rstrip("/").removesuffix(".html"), plain.rstrip("/"))
