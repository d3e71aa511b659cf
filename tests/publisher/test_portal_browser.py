"""The portal in a real browser: usable by everyone (WCAG 2.2 AA), by keyboard, on a telephone, and
from one page to the next.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import Browser
from waiting import wait_until

from web.charts import load_outlines
from web.templating import font_sheets

PAGES = {
    "home": "/", "search": "/search?q=network&goal=4", "nothing found": "/search?q=zzz&goal=4",
    "topics and a slip": "/search?q=helth", "suggestions": "/search/suggest?q=educ", "map": "/map", "matrix": "/matrix",
    "trends": "/trends", "gaps": "/gaps", "events": "/events?month=2025-05", "documents": "/documents", "prizes": "/prizes",
    "registries": "/sources",
    "join": "/join?kind=json&title=A&url=https://x.example&licence=https://x.example/l&key=id&name=name",
    "initiative": "/page/initiative/demo/a%2F1", "document": "/page/document/demo/file.ttl.html",
    "organization": "/page/organization/demo/ministry-of-health",
    "country": "/concept?iri=http://metadata.un.org/sdg/codes/geoArea/404", "line": "/scheme/action-line/C4",
    "scheme": "/scheme/action-line", "source": "/source/demo", "missing": "/nowhere", "join's first step": "/join",
    "validate": "/validate", "explain": "/explain?iri=/record/demo/evil",
    "reconciliation preview": "/reconcile/preview?id=http://metadata.un.org/sdg/3", "source report": "/source/demo/report",
    "a form for a problem": "/problem?record=/record/demo/a%2F1", "following": "/follow?q=network&goal=4", "quality": "/quality",
    "quality of a source": "/source/demo/quality", "posts": "/posts", "organizations": "/organizations", "examples": "/examples",
    "exports": "/exports", "releases": "/releases/", "reports": "/reports/", "dumps": "/dumps/", "status": "/status",
    "journal": "/journal/", "catalogue": "/catalog", "vocabulary": "/ns", "operations": "/operations",
    "record": "/record/demo/a%2F1", "gone": "/record/demo/lost", "run": "/run/run-2", "topics": "/topics", "data": "/data",
    "about": "/about", "design": "/about/design", "compare": "/compare?one=goal/3&other=line/C4",
    "moments": "/compare?from=entry/1&to=now", "embed of bars": "/embed/bars/goal", "embed of a map": "/embed/map",
    "embed of the matrix": "/embed/matrix", "columns": "/columns", "table": "/search?goal=3&view=table",
}  # fmt: skip


WALK = (
    "home", "search", "map", "matrix", "trends", "events", "initiative", "line", "source", "join",
)  # fmt: skip


@pytest.fixture(scope="module")
def host(endpoint: str) -> str:
    """Return the address of a real server once its tables and its index of texts are ready."""
    result = endpoint.removesuffix("/sparql")
    for _ in range(200):
        if httpx.get(f"{result}/search?format=json&q=network", timeout=60).status_code == 200:
            return result
    raise AssertionError("the tables and the index of texts were not made")


def address(host: str, name: str, language: str) -> str:
    return f"{host}{PAGES[name]}{'&' if '?' in PAGES[name] else '?'}lang={language}"


FORMS = [
    (dark, language, width)
    for dark in (False, True)
    for language in ("en", "ar")
    for width in (390, 1280)
]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("dark", "language", "width"), FORMS)
def test_axe_finds_no_fault_and_a_small_telephone_shows_all_of_a_page(
    host: str, browser: Browser, packages: Path, dark: Any, language: Any, width: Any, name: str
) -> None:
    browser.open(address(host, name, language), width, dark=dark)

    assert browser.faults(packages) == []
    assert browser.run("document.querySelector('header.site')?.offsetHeight ?? 0") < 90
    assert browser.run("document.documentElement.lang") == language
    browser.resize(320)
    assert browser.run("document.documentElement.scrollWidth") <= 320


@pytest.mark.smoke
@pytest.mark.parametrize("language", ["en", "ar"])
def test_a_walk_through_ten_pages_meets_no_fault_that_axe_finds(
    host: str, browser: Browser, packages: Path, language: str
) -> None:
    faults = {}
    for name in WALK:
        browser.open(address(host, name, language))
        faults[name] = browser.faults(packages)

    assert {name: listed for name, listed in faults.items() if listed} == {}


@pytest.mark.parametrize(
    ("language", "family", "text"),
    [
        ("ru", "Stocktake Sans", "Я"),
        ("ar", "Stocktake Sans Arabic", "ش"),
        ("zh", "Stocktake Sans SC", "国"),
    ],
)
def test_the_fonts_of_each_script_load_from_this_host(
    host: str, browser: Browser, language: str, family: str, text: str
) -> None:
    if not font_sheets(language):
        pytest.skip("the fonts were not fetched, for which npm is needed")
    browser.open(f"{host}/?lang={language}")
    loaded = browser.run(
        f"document.fonts.load('16px \"{family}\"', '{text}').then((faces) => faces.map((face) => face.status))"
    )

    assert loaded == ["loaded"]


@pytest.mark.parametrize("language", ["en", "ar"])
def test_no_page_is_wider_than_a_small_telephone_that_loads_it(
    host: str, browser: Browser, language: str
) -> None:
    widths = {}
    for name in PAGES:
        browser.open(address(host, name, language), 320)
        widths[name] = browser.run("document.documentElement.scrollWidth")

    assert {name: width for name, width in widths.items() if width > 320} == {}


def test_the_header_of_a_telephone_is_low_and_its_menu_needs_no_script(
    host: str, browser: Browser
) -> None:
    with without_scripts(browser):
        browser.open(f"{host}/?lang=en", 390)
        height = browser.run("document.querySelector('header.site').getBoundingClientRect().height")
        browser.run("document.querySelector('.menu.all summary').focus()")
        press(browser, "Enter", 13, "\r")
        links = browser.run(
            "[...document.querySelectorAll('.menu.all .first')].filter((link) => link.checkVisibility()).length"
        )

    assert height < 90
    assert links == 5


def test_a_reader_searches_narrows_opens_and_comes_to_the_query(
    host: str, browser: Browser
) -> None:
    browser.open(f"{host}/?lang=en")
    browser.leave(
        "document.querySelector('#q').value = 'network'; document.querySelector('form').submit()"
    )
    assert "120" in browser.run("document.querySelector('#found').textContent")

    browser.leave(
        "[...document.querySelectorAll('.facets a')].find((it) => it.textContent.includes('Quality education')).click()"
    )
    assert browser.run("document.querySelector('#found').textContent").startswith("7")
    assert "goal=4" in browser.run("location.search")

    browser.leave("document.querySelector('.findings a').click()")
    assert browser.run("document.querySelector('h1').textContent").startswith("Community network")

    browser.leave("document.querySelector('.claims a').click()")
    browser.leave("document.querySelector('.panel a[href^=\"/sparql?show=\"]').click()")
    assert "GROUP BY" in browser.run("document.querySelector('#query').value")


def test_a_reader_goes_from_the_map_to_a_country_and_from_the_matrix_to_what_stands_in_a_cell(
    host: str, browser: Browser
) -> None:
    browser.open(f"{host}/matrix?lang=en")
    browser.leave("document.querySelector('table.heat td a').click()")
    assert browser.run("location.search").startswith("?kind=initiative&line=C1&goal=")
    assert int(browser.run("document.querySelectorAll('.findings li').length")) > 0

    if load_outlines() is None:
        pytest.skip("the outlines were not built, for which npm is needed")
    browser.open(f"{host}/map?lang=en")
    click = "new MouseEvent('click', {bubbles: true})"
    browser.leave(f"document.querySelector('.drawing a').dispatchEvent({click})")
    assert browser.run("document.querySelector('h1').textContent.trim()").endswith("Kenya")


def test_the_keyboard_reaches_the_content_first_and_shows_where_it_is(
    host: str, browser: Browser
) -> None:
    browser.open(f"{host}/map?lang=en")

    press(browser, "Tab", 9)

    assert browser.run("document.activeElement.className") == "skip"
    assert browser.run("document.activeElement.getBoundingClientRect().left >= 0")
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") != "none"


def press(browser: Browser, key: str, code: int, text: str = "") -> None:
    event = {"key": key, "code": key, "windowsVirtualKeyCode": code}
    for kind in ("keyDown", "keyUp"):
        more = {"text": text} if text and kind == "keyDown" else {}
        browser.send_command("Input.dispatchKeyEvent", type=kind, **event, **more)


@contextmanager
def without_scripts(browser: Browser) -> Iterator[None]:
    browser.send_command("Emulation.setScriptExecutionDisabled", value=True)
    try:
        yield
    finally:
        browser.send_command("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("name", ["home", "search", "matrix", "join", "status"])
def test_the_keyboard_walks_a_page_from_its_first_link_to_its_last_and_is_seen_everywhere(
    host: str, browser: Browser, name: str
) -> None:
    browser.open(address(host, name, "en"))
    seen, hidden = [], []

    for _ in range(60):
        press(browser, "Tab", 9)
        output = browser.run(
            "(() => { const it = document.activeElement, style = getComputedStyle(it), box = it.getBoundingClientRect();"
            "window.met = window.met || new Set(); const again = met.has(it); met.add(it);"
            "return [it.tagName + ' ' + it.textContent.trim().slice(0, 30), again,"
            " box.width > 0 && box.bottom > 0 && (style.outlineStyle !== 'none' || style.boxShadow !== 'none')] })()"
        )
        if output[0].startswith("BODY") or output[1]:
            break
        seen.append(output[0])
        hidden += [] if output[2] else [output[0]]

    assert len(seen) > 20
    assert hidden == []


def test_a_reader_without_scripts_and_mouse_searches_and_writes_a_definition(
    host: str, browser: Browser
) -> None:
    def focus(selector: str) -> None:
        browser.run(f"document.querySelector('{selector}').focus()")

    def text_of(selector: str) -> str:
        return str(browser.run(f"document.querySelector('{selector}').textContent"))

    def write(**values: str) -> None:
        for name, text in values.items():
            focus(f"#{name}")
            browser.send_command("Input.insertText", text=text)
        _enter(browser)

    with without_scripts(browser):
        browser.open(f"{host}/?lang=en")
        write(q="network")
        assert text_of("#found").startswith("120")

        browser.open(f"{host}/sparql?lang=en")
        assert browser.run("document.querySelector('#plain').offsetHeight") > 100

        browser.open(f"{host}/join?lang=en")
        focus("[name=kind][value=json]")
        press(browser, " ", 32, " ")
        focus(".join button")
        _enter(browser)
        write(title="Ours", url="https://127.0.0.1/api", licence="https://r.example/licence")
        write(key="id", name="name")
        assert 'protocol = "json"' in text_of("#card + pre")

        # This server does not test definitions, so the page names the command that does.
        assert "stocktake sources preview sources/ours.toml" in text_of(
            "section[aria-labelledby=dry]"
        )


def _enter(browser: Browser) -> None:
    """Press Enter, which sends the form, and wait for the page that comes."""
    browser.await_page(lambda: press(browser, "Enter", 13, "\r"))


def suggestions(browser: Browser, text: str) -> list[str]:
    """Type *text* into the search field and return the suggestions once they appear."""
    browser.run("document.querySelector('#q').focus(); document.querySelector('#q').select()")
    browser.send_command("Input.insertText", text=text)
    browser.run(
        "new Promise((done, fail) => { const until = Date.now() + 20000; const look = () => {"
        " const count = document.querySelectorAll('.suggestions [role=option]').length;"
        " if (count) done(count); else if (Date.now() > until) fail(new Error('no suggestions came')); else setTimeout(look, 20) };"
        " look() })"
    )
    return list(
        browser.run(
            "[...document.querySelectorAll('.suggestions .name')].map((it) => it.textContent)"
        )
    )


@pytest.mark.parametrize(
    ("language", "width", "dark", "text"),
    [("en", 1280, False, "healt"), ("ar", 390, True, "صح"), ("zh", 390, False, "健")],
)
def test_suggestions_while_typing_have_no_fault_that_axe_finds(
    host: str, browser: Browser, packages: Path, language: str, width: int, dark: bool, text: str
) -> None:
    browser.open(f"{host}/search?lang={language}", width, dark=dark)

    result = suggestions(browser, text)
    press(browser, "ArrowDown", 40)

    assert len(result) >= 2
    assert browser.faults(packages) == []
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_the_keyboard_chooses_a_suggestion(host: str, browser: Browser) -> None:
    browser.open(f"{host}/?lang=en")
    hostile = suggestions(browser, "alert")
    scripts = browser.run("document.querySelectorAll('.suggestions script').length")
    browser.open(f"{host}/?lang=en")
    state = "[q.getAttribute('aria-expanded'), q.getAttribute('aria-activedescendant'), document.querySelector('.suggestions').hidden]"

    names = suggestions(browser, "telemed")
    opened = browser.run(state)
    press(browser, "ArrowDown", 40)
    first = browser.run(state)
    press(browser, "ArrowDown", 40)
    # Below the last suggestion the arrow leads back to the field.
    press(browser, "ArrowDown", 40)
    none = browser.run(state)
    press(browser, "Escape", 27)
    closed = browser.run(state)

    assert '<script>alert("x")</script>' in hostile
    assert scripts == 0
    assert names == ["C7-ehea E-health", "Telemedicine for remote clinics"]
    assert [opened, first, none, closed] == [
        ["true", None, False],
        ["true", "q-suggestions-0", False],
        ["true", None, False],
        ["false", None, True],
    ]
    assert browser.run("document.activeElement.id") == "q"
    for chosen, address in (
        (True, "/scheme/action-line/C7-ehea"),
        (False, "/search?q=telemed"),  # Without a choice, what was typed is searched for.
    ):
        browser.open(f"{host}/?lang=en")
        suggestions(browser, "telemed")
        if chosen:
            press(browser, "ArrowDown", 40)
        _enter(browser)
        assert browser.run("location.pathname + location.search") == address


def test_a_reader_copies_the_code_of_a_figure(host: str, browser: Browser) -> None:
    browser.open(f"{host}/matrix?lang=en")

    copied = browser.run("""(async () => {
      const code = document.querySelector("details.embed textarea");
      const button = code.closest("label").nextElementSibling;
      let copied = "";
      navigator.clipboard.writeText = async (text) => { copied = text; };
      code.closest("details").open = true;
      button.click();
      const until = Date.now() + 20000;
      while (!button.nextElementSibling.textContent && Date.now() < until) await new Promise((done) => setTimeout(done, 20));
      return [button.textContent, button.nextElementSibling.textContent.trim(), code.value, copied];
    })()""")

    assert copied[:2] == ["Copy", "Copied"]
    assert copied[2] == copied[3]
    assert "<iframe src=" in copied[3]


@pytest.mark.parametrize(("page", "name"), [("/matrix", "matrix.png"), ("/map", "map.png")])
def test_a_reader_saves_a_drawing_as_png(host: str, browser: Browser, page: str, name: str) -> None:
    browser.open(f"{host}{page}?lang=ar")
    saved = browser.run(
        """new Promise((resolve) => {
      let blob;
      URL.createObjectURL = (value) => { blob = value; return "#"; };
      HTMLAnchorElement.prototype.click = async function () {
        const image = await createImageBitmap(blob);
        const canvas = Object.assign(document.createElement("canvas"), {width: image.width, height: image.height});
        const context = canvas.getContext("2d");
        context.drawImage(image, 0, 0);
        const colours = new Set(new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer));
        resolve({name: this.download, type: blob.type, width: image.width, height: image.height, colours: colours.size});
      };
      const links = [...document.querySelectorAll("details.embed a")].filter((link) => link.textContent === "PNG");
      links.find((link) => link.pathname.endsWith(ENDING)).dispatchEvent(new MouseEvent("click", {cancelable: true}));
    })""".replace("ENDING", json.dumps(name.removesuffix(".png").rpartition("-")[2]))
    )

    assert (saved["name"], saved["type"]) == (name, "image/png")
    assert saved["width"] >= 600
    assert saved["height"] >= 200
    assert saved["colours"] > 20, "the drawing is empty"


def test_no_page_asks_another_host(host: str, browser: Browser) -> None:
    before = len(browser.request_log)
    for path in PAGES.values():
        browser.open(host + path)

    assert {
        url.split("/")[2] for url in browser.request_log[before:] if url.startswith("http")
    } == {host.split("/")[2]}


LABELS = """[...document.querySelectorAll('table.chart tr')].map((row) => {
  const name = row.querySelector('th .name').getBoundingClientRect(), bar = row.querySelector('td.bar').getBoundingClientRect();
  return [row.innerText.split('\\n')[0], name.left - bar.right, bar.left - name.right];
}).filter(([, one, other]) => Math.max(one, other) < 4)"""
CODES = """[...document.querySelectorAll('table.heat tbody th a')].map((it) => {
  const [code, name] = [it.querySelector('b'), it.querySelector('.name')].map((part) => part.getBoundingClientRect());
  const cell = it.getBoundingClientRect(), whole = code.left >= cell.left && code.right <= cell.right + 0.5;
  return { code: it.querySelector('b').innerText, whole, first: code.left >= name.right };
})"""


@pytest.mark.parametrize("language", ["ar", "zh", "en"])
@pytest.mark.parametrize("width", [390, 1280])
def test_labels_of_bars_keep_clear_of_them(
    host: str, browser: Browser, language: str, width: int
) -> None:
    browser.open(address(host, "line", language), width)

    assert browser.run("document.querySelectorAll('table.chart tr').length") > 10
    assert browser.run(LABELS) == []


OVERLAPPING = """[...document.querySelectorAll('table.heat tbody tr')].filter((row) => {
  const range = document.createRange(); range.selectNodeContents(row.querySelector('th b'));
  const label = range.getBoundingClientRect(), cell = row.querySelector('td').getBoundingClientRect();
  return label.left < cell.right && cell.left < label.right;
}).map((row) => row.querySelector('th b').textContent)"""


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("width", [360, 500, 1200])
def test_labels_of_the_matrix_keep_clear_of_its_cells(
    host: str, browser: Browser, language: str, width: int
) -> None:
    browser.open(f"{host}/matrix?lang={language}", width)

    assert browser.run("document.querySelectorAll('table.heat tbody tr').length") == 18
    assert browser.run(OVERLAPPING) == []


def test_rows_of_the_matrix_begin_with_their_code_in_arabic(host: str, browser: Browser) -> None:
    browser.open(address(host, "matrix", "ar"), 1280)

    rows = browser.run(CODES)

    assert [row["code"] for row in rows][:3] == ["C1", "C2", "C3"]
    assert [row for row in rows if not row["whole"] or not row["first"]] == []


def test_progress_of_the_first_start_leaves_what_is_typed(host: str, browser: Browser) -> None:
    browser.open(f"{host}/?lang=en")
    browser.run(
        """document.querySelector(".hero").insertAdjacentHTML("beforebegin", '<section class="start"></section>');
        document.querySelector(".columns").dataset.stale = "yes";
        const typed = document.getElementById("q"); typed.focus(); typed.value = "telemed";"""
    )

    browser.run("import('/static/progress.js').then(() => 0)")
    wait_until(
        lambda: browser.run("document.querySelector('.start, [data-stale]') === null"),
        "the page to be updated",
    )

    assert browser.run("[document.activeElement.id, document.getElementById('q').value]") == [
        "q",
        "telemed",
    ]
    assert browser.run("document.querySelectorAll('main > .columns').length") == 1


def link(text: str) -> str:
    """Return the script that clicks the first visible link whose text contains *text*."""
    return f"[...document.querySelectorAll('a')].find((it) => it.checkVisibility() && it.textContent.includes({text!r})).click()"


def search(words: str) -> str:
    return (
        f"document.querySelector('#q').value = {words!r}; document.querySelector('form').submit()"
    )


COMPARE = "const [one, other] = document.querySelectorAll('select'); "
COMPARE += "const pick = (it, name) => { it.value = [...it.options].find((option) => option.text.includes(name)).value }; "
COMPARE += "pick(one, 'Kenya'); pick(other, 'Africa'); document.querySelector('main form').submit()"

# Each task of a new user has its clicks from the home page, and a condition that then is true.
TASKS = {
    "find community networks in Kenya": (
        [search("network Kenya"), "document.querySelector('.findings a').click()"],
        "document.querySelector('h1').textContent.includes('etwork')",
    ),
    "see which goals e-agriculture serves": (
        [link("Topics"), link("Action lines"), link("E-agriculture")],
        'document.querySelectorAll(\'a[href*="metadata.un.org/sdg/2"], a[href*="goal=2"]\').length > 0',
    ),
    "compare Kenya with Africa": (
        [link("Topics"), link("Compare"), COMPARE],
        "[...document.querySelectorAll('.compared h2')].map((it) => it.textContent.trim()).join() == 'Kenya,Africa'",
    ),
    "download all of Africa as a table with a codebook": (
        [link("Topics"), link("Africa")],
        "!!document.querySelector('a[download=\"initiatives.csv\"]') && !!document.querySelector('main a[href^=\"/columns\"]')",
    ),
    "cite a number by its query": (
        [link("Explore"), link("Matrix"), link("See the query behind these numbers")],
        "document.querySelector('#query').value.includes('COUNT')",
    ),
}


@pytest.mark.parametrize("task", TASKS)
def test_a_new_user_does_each_task_in_three_clicks(host: str, browser: Browser, task: str) -> None:
    clicks, condition = TASKS[task]
    browser.open(f"{host}/?lang=en")

    for click in clicks:
        browser.leave(click)

    assert len(clicks) <= 3
    assert browser.run(condition) is True
