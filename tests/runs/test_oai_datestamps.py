from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
import sqlalchemy as sa

from harvesters.inspection.trace import explain, read_record
from harvesters.ledger import tables as t
from harvesters.ledger.models import decompress
from harvesters.runs.context import HarvestContext
from harvesters.runs.run import harvest
from harvesters.source import parse
from vocab.iris import BASE

_OAI = "http://www.openarchives.org/OAI/2.0/"
_TABLE = {
    "title": "A", "protocol": "oai-pmh", "mapping": "oai_dc", "url": "https://a.example/oai", "licence": "https://a.example/l",
    "pause": 0, "limits": {"expect": 1},
}  # fmt: skip


def answer(verb: str, datestamp: str, title: str) -> str:
    names = f'xmlns:oai_dc="{_OAI}oai_dc/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    text = f"<dc:title>{title}</dc:title><dc:type>project</dc:type>"
    head = f"<header><identifier>oai:a.example:7</identifier><datestamp>{datestamp}</datestamp></header>"
    record = f"<record>{head}<metadata><oai_dc:dc {names}>{text}</oai_dc:dc></metadata></record>"
    body = record if verb == "ListRecords" else "<granularity>YYYY-MM-DDThh:mm:ssZ</granularity>"
    request = f'<responseDate>2026-05-01T00:00:00Z</responseDate><request verb="{verb}">https://a.example/oai</request>'
    return f'<OAI-PMH xmlns="{_OAI}">{request}<{verb}>{body}</{verb}></OAI-PMH>'


def dates(context: HarvestContext, datestamp: str, title: str) -> list[str]:
    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/robots.txt":
            return httpx.Response(404)
        text = answer(request.url.params["verb"], datestamp, title)
        return httpx.Response(200, text=text, headers={"content-type": "text/xml"})

    harvest(
        parse("a", _TABLE, "test"),
        replace(context, network=replace(context.network, transport=httpx.MockTransport(respond))),
    )
    query = sa.select(t.description.c.statements).join(
        t.record,
        sa.and_(t.description.c.run == t.record.c.run, t.description.c.seq == t.record.c.seq),
    )
    with context.ledger.transaction() as connection:
        lines = decompress(connection.scalar(query)).split("\n")
    return [
        line.partition('date> "')[2].partition('"')[0]
        for line in lines
        if "/record/a/" in line.split()[0] and "/date> " in line
    ]


@pytest.mark.parametrize("datestamp", ["2026-04-01", "2026-04-01T10:00:00Z"])
def test_the_datestamp_of_the_version_that_is_published_is_that_of_the_record(
    context: HarvestContext, datestamp: str
) -> None:
    first = dates(context, datestamp, "Wells")
    touched = dates(context, "2026-04-29", "Wells")
    changed = dates(context, "2026-04-30", "Deep wells")

    assert (first, touched, changed) == ([datestamp], [datestamp], ["2026-04-30"])


def test_the_datestamp_is_explained_as_the_repositorys(context: HarvestContext) -> None:
    dates(context, "2026-04-01", "Wells")

    described = read_record(context.ledger, "a", "oai:a.example:7")
    [date] = explain(
        described, parse("a", _TABLE, "test"), BASE, context.data / "archive", name="terms/date"
    ).statements

    assert (date.origin, date.fields, date.value) == ("source", ("datestamp",), "2026-04-01")
    assert date.place
    assert date.place.before.endswith("<datestamp>")
