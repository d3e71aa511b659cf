"""The query page without its scripts, and what its scripts are given."""

from __future__ import annotations

import html
import re
from pathlib import Path

import httpx
import pytest

from publisher.limits import Limits
from publisher.pages import Pages
from publisher.sparql.examples import examples, is_built, script_texts
from vocab.iris import Iris
from web.formats import GRAPHS, TABLES
from web.static_files import static_url

HTML = {"Accept": "text/html"}


def _page(scripts: bool, releases: tuple[int, ...] = ()) -> str:
    them = examples(Iris())
    editor = {
        "example": them[0],
        "requested": False,
        "run_on_open": False,
        "examples": them,
        "releases": releases,
    }
    answer = Pages(Iris()).page(
        "sparql.html",
        editor=editor,
        scripts=scripts,
        texts=script_texts(),
        limits=Limits(),
        tables=TABLES.values(),
        graphs=GRAPHS.values(),
    )
    return bytes(answer.body).decode()


async def test_the_form_works_without_scripts(client: httpx.AsyncClient) -> None:
    page = (await client.get("/sparql?example=prizes", headers=HTML)).text
    (text,) = re.findall(r"<textarea[^>]*>(.*?)</textarea>", page, re.DOTALL)

    parameters = {"query": html.unescape(text), "format": "csv", "timeout": "30", "release": ""}
    answer = await client.get("/sparql", params=parameters, headers=HTML)

    assert answer.status_code == 200
    assert "winners" in answer.text.splitlines()[0]


def test_without_a_bundle_the_page_is_a_plain_form_and_with_one_the_scripts_are_our_own(
    tmp_path: Path,
) -> None:
    plain, scripted = _page(is_built(tmp_path)), _page(True, (3, 2))

    assert "<script" not in plain
    assert '<form class="card" id="plain"' in plain
    scripts = re.findall(r"<script[^>]*>", scripted)
    assert scripts == [f'<script src="{static_url("query/query.js")}" defer>']
    assert "style=" not in scripted
    assert 'data-releases="[3, 2]"' in scripted
    assert '<option value="3">Release 3</option>' in scripted


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_example_and_a_query_together_are_a_query(
    client: httpx.AsyncClient, method: str
) -> None:
    answer = await client.request(
        method, "/sparql", params={"query": "ASK {}", "example": "prizes", "format": "json"}
    )

    assert answer.status_code == 200
