"""Write the messages of subscriptions to searches: the link that confirms one, and the changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from harvesters.ledger.models import Message
from harvesters.ledger.participation import Subscription
from harvesters.notifications.delivery import MAIL, Channels
from languages.request_locale import use_language
from languages.translations import format_number, gettext

MAX_LISTED = 50  # things of each kind of change that a mail lists
MAX_SENT = 500  # things of each kind of change in a webhook


@dataclass(frozen=True, slots=True)
class FoundChange:
    """A thing that is new, changed or gone: its IRI, its title in the language of the subscription,
    and its page.
    """

    iri: str
    title: str
    page: str


def write_confirmation(item: Subscription, channels: Channels) -> Message:
    """Return the message with the link that confirms a subscription."""
    link = f"{channels.public_url}/follow/confirm/{item.secret}"
    with use_language(item.language):
        lines = [
            gettext("Somebody, probably you, gave this address to %(name)s.")
            % {"name": channels.name},
            gettext("Open this link if you want to follow %(title)s. It works for 24 hours:")
            % {"title": item.title},
            link,
            gettext("If it was not you, ignore this message: the address is deleted then."),
        ]
        subject = f"{channels.name}: {gettext('Confirm that you follow %(title)s') % {'title': item.title}}"
    data = {
        "type": "search.confirm",
        "timestamp": item.created.isoformat(),
        "data": {**_about(item, channels), "confirm": link},
    }
    return Message(
        item.channel,
        item.address,
        item.topic,
        subject,
        "\n\n".join(lines) + "\n",
        {} if item.channel == MAIL else data,
    )


def write_digest(
    item: Subscription,
    changes: Mapping[str, Sequence[FoundChange]],
    position: int,
    channels: Channels,
    now: datetime,
) -> Message | None:
    """Return the message that lists the ``new``, ``changed`` and ``removed`` things at a journal
    entry; None if there are none.
    """
    total = sum(map(len, changes.values()))
    if not total:
        return None
    stop = _stop_link(item, channels)
    with use_language(item.language):
        subject = f"{channels.name}: {item.title}: {gettext('Changes')}: {format_number(total)}"
        lines = [
            *_lines(changes),
            f"{gettext('All results')}: {_search(item, channels)}",
            "",
            f"{gettext('Stop following')}: {stop}",
        ]
    data = {
        **_about(item, channels),
        "entry": position,
        **{kind: [_row(result) for result in rows[:MAX_SENT]] for kind, rows in changes.items()},
        "counts": {kind: len(rows) for kind, rows in changes.items()},
    }
    body: dict[str, Any] = {"type": "search.changed", "timestamp": now.isoformat(), "data": data}
    return Message(
        item.channel,
        item.address,
        item.topic,
        subject,
        "\n".join(lines) + "\n",
        {"unsubscribe": stop} if item.channel == MAIL else body,
    )


def _row(change: FoundChange) -> dict[str, str]:
    return {"id": change.iri, "title": change.title, "url": change.page}


def _lines(changes: Mapping[str, Sequence[FoundChange]]) -> Iterator[str]:
    titles = {
        "new": gettext("New"),
        "changed": gettext("Changed"),
        "removed": gettext("No longer among the results"),
    }
    for kind, title in titles.items():
        rows = changes.get(kind, ())
        if rows:
            yield f"{title}: {format_number(len(rows))}"
            for result in rows[:MAX_LISTED]:
                yield from (f"- {result.title}", f"  {result.page}")
            if len(rows) > MAX_LISTED:
                yield gettext("and %(count)s more") % {
                    "count": format_number(len(rows) - MAX_LISTED)
                }
            yield ""


def _about(item: Subscription, channels: Channels) -> dict[str, str]:
    return {
        "search": _search(item, channels),
        "title": item.title,
        "frequency": item.frequency,
        "unsubscribe": _stop_link(item, channels),
    }


def _search(item: Subscription, channels: Channels) -> str:
    """Return the address of the page that lists the followed things."""
    return f"{channels.public_url}/follow?{item.search}"


def _stop_link(item: Subscription, channels: Channels) -> str:
    return f"{channels.public_url}/follow/stop/{item.secret}"
