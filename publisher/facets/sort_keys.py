"""Orders: by what things are listed, as SQL over the tables."""

from __future__ import annotations

KEYS = {  # by what a list that goes on after a key is sorted; None stands in no such list
    "title": "CASE WHEN title IS NULL THEN '2' WHEN language = 'en' THEN '0' || lower(title) ELSE '1' || lower(title) END",
    "newest": "changed",
    "address": "''",
}
ORDERS = {
    "newest": "changed DESC NULLS LAST",
    "title": "lower(title) NULLS LAST",
    "begins": "begins NULLS LAST",
    "ends": "begins DESC NULLS LAST",
}
