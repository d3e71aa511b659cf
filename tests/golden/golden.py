"""Send all requests of `requests.txt` to the publisher of a small world, and write the answers as
text: a file for each family of requests in `expected`.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from string import Template
from urllib.parse import quote, quote_plus

import httpx
from contracts import apis, commands
from demo_journal import demo_journal
from rendering import render
from waiting import wait_until
from world import PUBLIC, GoldenSite

FOLDER = Path(__file__).with_name("expected")
REQUESTS = Path(__file__).with_name("requests.txt")
BROWSER, PROGRAM = "text/html", "*/*"
HOSTILE = {
    "Host": "evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Server": "evil.example",
    "Forwarded": "host=evil.example",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A line of `requests.txt`. *accept* is None for a GET that is sent as a browser and as a
    program."""

    method: str
    address: str
    fields: Mapping[str, str]

    def heading(self, accept: str) -> str:
        parts = [self.method, self.address, f"[{accept}]"]
        parts += [
            f"{name}={value}"
            for name, value in self.fields.items()
            if name not in ("accept", "take", "mail", "until")
        ]
        return " ".join(parts)

    def accepts(self) -> tuple[str, ...]:
        if "accept" in self.fields:
            return (self.fields["accept"],)
        return (BROWSER, PROGRAM) if self.method == "GET" else (PROGRAM,)


def read_requests() -> dict[str, list[Request]]:
    families: dict[str, list[Request]] = {}
    for line in REQUESTS.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"# (\w+): ", line):
            families[match[1]] = []
        elif line and not line.startswith("#"):
            first, *rest = re.split(r"\s{2,}", line)
            method, address = first.split(" ", 1)
            fields = dict(part.split("=", 1) for part in rest)
            [*families.values()][-1].append(Request(method, address, fields))
    return families


@dataclass
class Asker:
    """Sends requests, and stores the values in answers that later requests need."""

    site: GoldenSite
    tags: dict[str, str] = field(default_factory=dict)
    clients: dict[str, httpx.Client] = field(default_factory=dict)

    def act(self, request: Request) -> None:
        """Set the clock, or harvest a source."""
        if request.method == "CLOCK":
            self.site.clock.timestamp = datetime.fromisoformat(request.address)
        else:
            self.site.harvest(request.address)

    def ask(self, request: Request, accept: str, frames: dict[str, str]) -> list[str]:
        """Return the lines of the answer to *request*; *frames* as in ``render``."""
        answer = self._send(request, {"Accept": accept})
        if until := request.fields.get("until"):
            wait_until(
                lambda: re.search(until, self._send(request, {"Accept": accept}).text) is not None,
                f"{request.address} to have {until}",
            )
            answer = self._send(request, {"Accept": accept})
        if take := request.fields.get("take"):
            name, pattern = take.split(" ", 1)
            if match := re.search(pattern, f"{answer.headers}\n{answer.text}"):
                self.site.values[name] = match[1]
        if mail := request.fields.get("mail"):
            name, pattern = mail.split(" ", 1)
            match = re.search(pattern, self.site.messages())
            self.site.values[name] = match[1] if match else "no such message"
        names = {value: f"${name}" for name, value in self.site.values.items()}
        lines: list[str] = render(answer, request.heading(accept), frames, names)
        if answer.status_code == 200 and request.method == "GET" and "etag" in answer.headers:
            lines[lines.index("etag: present")] = self._revalidated(request, accept, answer)
        return lines

    def _revalidated(self, request: Request, accept: str, answer: httpx.Response) -> str:
        """Return the status of a request with the entity tag of *answer*.

        The status is cached by entity tag. A page may change with the clock, so up to three tags
        are tried.
        """
        key = f"{request.address} {answer.headers['ETag']}"
        if key in self.tags:
            return self.tags[key]
        for _ in range(3):
            tag = answer.headers["ETag"]
            answer = self._send(request, {"Accept": accept, "If-None-Match": tag})
            if answer.status_code == 304:
                break
        self.tags[key] = f"etag: {answer.status_code} when it is sent back"
        return self.tags[key]

    def _send(self, request: Request, headers: dict[str, str]) -> httpx.Response:
        who = request.fields.get("as", "")
        if not who and who in self.clients:
            self.clients[who].cookies.clear()
        client = self.clients.setdefault(
            who, httpx.Client(transport=self.site.transport, base_url=PUBLIC)
        )
        if request.method == "GET" and not who:
            headers |= HOSTILE
        if header := request.fields.get("header"):
            name, value = header.split(": ", 1)
            headers[name] = self._filled(value)
        if token := self.site.values.get(f"KEY_{who}"):  # a person with a session has no key
            headers["Authorization"] = f"Bearer {token}"
        body: bytes | None = None
        for kind, media in (
            ("form", "application/x-www-form-urlencoded"),
            ("json", "application/json"),
        ):
            if kind in request.fields:
                text = self._filled(request.fields[kind])
                body = (_form(text) if kind == "form" else text).encode()
                headers["Content-Type"] = media
        if "body" in request.fields:
            headers["Content-Type"], _, text = self._filled(request.fields["body"]).partition(";")
            body = text.encode()
        return client.request(
            request.method, _address(self._filled(request.address)), headers=headers, content=body
        )

    def _filled(self, text: str) -> str:
        return Template(text.replace("\\n", "\n")).safe_substitute(self.site.values)


def _address(text: str) -> str:
    return quote(text, safe="/?&=:%+,;@!$'()*#~-._")


def _form(text: str) -> str:
    """Return a form's body: values are written as they are, without a percent sign."""
    pairs = (part.partition("=") for part in re.split(r"&(?=\w+=)", text))
    return "&".join(f"{name}={quote_plus(value, safe='%')}" for name, _, value in pairs)


def answers(site: GoldenSite) -> dict[str, str]:
    """Return the text of each family, the contracts, and the demo's journal."""
    asker = Asker(site)
    texts = {
        family: "".join(_family(asker, requests)) for family, requests in read_requests().items()
    }
    with httpx.Client(transport=site.transport, base_url=PUBLIC) as client:
        texts["apis"] = "".join(apis(client))
    return texts | {"commands": "".join(commands()), "demo": "".join(demo_journal())}


def _family(asker: Asker, requests: Iterable[Request]) -> Iterator[str]:
    frames: dict[str, str] = {}
    asked = Counter[str]()
    for request in requests:
        if request.method in ("CLOCK", "HARVEST"):
            asker.act(request)
            yield f"=== {request.method} {request.address}\n\n"
            continue
        answered: dict[str, str] = {}
        for accept in request.accepts():
            text = "\n".join(asker.ask(request, accept, frames)).rstrip()
            same = next((other for other, known in answered.items() if known == text), None)
            if same:
                text = f"as [{same}]"
            else:
                answered[accept] = text
            again = asked[(heading := request.heading(accept))]
            asked[heading] += 1
            yield f"=== {heading}{f' again ({again})' if again else ''}\n{text}\n\n"


def differences(old: str, new: str) -> Iterator[str]:
    """Yield the lines of a unified diff for each address whose answer differs."""
    before, after = _by_heading(old), _by_heading(new)
    for heading in [*before, *(item for item in after if item not in before)]:
        one, other = before.get(heading, []), after.get(heading, [])
        if one != other:
            yield f"=== {heading}"
            yield from [*difflib.unified_diff(one, other, "before", "after", n=2, lineterm="")][2:]
            yield ""


def _by_heading(text: str) -> dict[str, list[str]]:
    parts = re.split(r"^=== ", text, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: part.rstrip().split("\n")[1:] for part in parts}
