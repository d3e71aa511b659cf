"""Source definitions that several tests write."""

from __future__ import annotations

_PAGED_JSON = """
title    = "Projects"
protocol = "json"
mapping  = "fields"
url      = "{url}"
licence  = "https://creativecommons.org/licenses/by/4.0/"
language = "en"
every    = "{every}"
pause    = {pause}

[options]
records = "results"
total   = "total"
page    = "page"
key     = "id"

[fields]
key        = "id"
"title@en" = "name"
goals      = "sdgs"
"""

_WORDS_JSON = """
title = "Projects"
protocol = "json"
mapping = "fields"
url = "https://registry.example/projects.json"
licence = "https://creativecommons.org/licenses/by/4.0/"

[options]
records = "items"

[fields]
key = "id"
"title@en" = "name"
subjects = "topics"
action_lines = "lines"
status = "state"
"""


def words_json() -> str:
    """Return the definition of a registry whose records have topics, action lines and a status in
    words of its own.
    """
    return _WORDS_JSON


def paged_json(url: str, *, every: str = "0 0 1 1 *", pause: float = 0) -> str:
    """Return the definition of a registry that serves pages of JSON at *url*; *every* is a cron
    line, *pause* is in seconds.
    """
    return _PAGED_JSON.format(url=url, every=every, pause=pause)
