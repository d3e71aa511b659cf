"""Words of pages that name terms of our ontologies: they come from the vocabulary, in the language
of the request.
"""

from __future__ import annotations

from languages.request_locale import current_locale
from languages.translations import gettext
from vocab.schemes import term_labels


def term_label(name: str) -> str:
    """Return the label of a term, such as ``coverage`` or ``ops:lastRun``, in the language of the
    request; raises KeyError if it is none.

    >>> term_label("ops:lastRun"), term_label("confidence")
    ('last run', 'confidence')
    """
    local = f"operations#{name.removeprefix('ops:')}" if name.startswith("ops:") else f"ns#{name}"
    labels = term_labels()
    return labels.get((local, current_locale().language)) or labels[local, "en"]


def term_title(name: str) -> str:
    """Return the label of a term with a capital letter; raises KeyError if it is none."""
    text = term_label(name)
    return text[:1].upper() + text[1:]


def kind_name(kind: str) -> str:
    """Return the name of a kind of thing, such as ``event``: of an initiative by the ontology,
    which has no class for the others.

    >>> kind_name("initiative"), kind_name("event")
    ('Initiative', 'Event')
    """
    return term_title("Initiative") if kind == "initiative" else gettext(kind.capitalize())
