"""The page in a real Chromium: nothing runs, nothing is fetched, everybody can read it.

Skipped where chromium or Playwright is absent: apt-get install chromium; pip install playwright axe-playwright-python.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from audit.report.content import Report
from audit.report.page import render_page
from tests.audit.test_report import filled
from tests.hostile import ACTING, PAYLOADS, SOURCES

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is absent: pip install playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("chromium is absent: apt-get install chromium runs these tests", allow_module_level=True)

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
OPEN_ALL = "document.querySelectorAll('details').forEach(one => one.open = true)"
FOCUSED = """() => {
    const at = document.activeElement, style = getComputedStyle(at);
    return {name: at.tagName + ' ' + (at.getAttribute('aria-label') || at.textContent).slice(0, 40),
            place: [...document.querySelectorAll('a, summary, [tabindex="0"]')].indexOf(at), ring: style.outlineStyle};
}"""


@pytest.fixture(scope="module")
def report(hostile_report: Report) -> Report:
    return filled(replace(hostile_report, title=PAYLOADS[0] + PAYLOADS[-1]))


@pytest.fixture(scope="module")
def page_file(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(render_page(report), "utf-8")
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


class Opened:
    """A page, what it asked for and what it said."""

    def __init__(self, browser: sync_api.Browser, file: Path, width: int, scheme: str) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.goto(file.as_uri())


@pytest.fixture(params=[(1200, "light"), (1200, "dark"), (320, "light")], ids=["light", "dark", "narrow"])
def opened(request: pytest.FixtureRequest, browser: sync_api.Browser, page_file: Path) -> Iterator[Opened]:
    found = Opened(browser, page_file, *request.param)
    yield found
    found.context.close()


@pytest.fixture
def wide(browser: sync_api.Browser, page_file: Path) -> Iterator[Opened]:
    found = Opened(browser, page_file, 1200, "light")
    yield found
    found.context.close()


def test_nothing_of_the_corpus_runs_and_nothing_is_fetched(wide: Opened, page_file: Path) -> None:
    page = wide.page
    page.evaluate(OPEN_ALL)
    for element in page.query_selector_all("blockquote, td, th, h3")[:200]:
        element.dispatch_event("mouseover")
    page.wait_for_timeout(100)
    assert page.evaluate("window.pwned") is None
    assert wide.requests == [page_file.as_uri()] and not wide.said
    assert page.url == page_file.as_uri()
    elements = page.evaluate("[...document.querySelectorAll('*')].map(one => one.localName)")
    assert not set(elements) & {"script", "img", "iframe", "object", "embed", "link", "form", "base", "b", "i", "u"}
    attributes = page.evaluate(
        "[...document.querySelectorAll('*')].flatMap(one => [...one.attributes].map(a => a.name))"
    )
    assert not [name for name in attributes if name.startswith("on") or name in ("style", "src")]
    links = page.evaluate("[...document.querySelectorAll('a')].map(one => one.getAttribute('href'))")
    assert links and all(link.startswith("#") for link in links)
    assert page.evaluate("document.querySelectorAll('meta[http-equiv=refresh]').length") == 0


def test_what_the_corpus_says_is_there_to_be_read(wide: Opened) -> None:
    wide.page.evaluate(OPEN_ALL)
    text = wide.page.evaluate("document.body.textContent")
    for payload in (*PAYLOADS[:6], *SOURCES[:2]):
        assert payload in text
    assert not set(text) & set(ACTING) and "\ufffdgnp.exe\ufffd" in text
    assert wide.page.title().startswith("</script><script>")


def test_even_a_script_that_got_into_the_page_would_not_run(
    browser: sync_api.Browser, report: Report, tmp_path: Path
) -> None:
    injected = "<script>pwned=1</script><img src=x onerror=pwned=1><i style='color:red' id=styled>x</i><main"
    attacked = render_page(report).replace("<main", injected)
    (tmp_path / "attacked.html").write_text(attacked, "utf-8")
    opened = Opened(browser, tmp_path / "attacked.html", 1200, "light")
    opened.page.wait_for_timeout(100)
    assert opened.page.evaluate("window.pwned") is None
    assert any("Content Security Policy" in said for said in opened.said)
    assert opened.page.evaluate("getComputedStyle(document.getElementById('styled')).color") != "rgb(255, 0, 0)"
    opened.context.close()


def test_it_has_no_fault_that_axe_finds(opened: Opened) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
    opened.page.evaluate(OPEN_ALL)
    found = axe.Axe().run(opened.page).response
    assert [(one["id"], [node["target"] for node in one["nodes"][:3]]) for one in found["violations"]] == []
    assert len(found["passes"]) > 20 and not opened.said


def test_no_width_makes_the_page_itself_scroll_sideways(opened: Opened) -> None:
    for script in ("null", OPEN_ALL):
        opened.page.evaluate(script)
        assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_scheme_of_the_reader_is_taken(opened: Opened, request: pytest.FixtureRequest) -> None:
    colour = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(",")))
    assert (brightness < 150) == ("dark" in request.node.name)


def test_a_keyboard_reaches_everything_in_order_and_sees_where_it_is(wide: Opened, page_file: Path) -> None:
    page = wide.page
    page.keyboard.press("Tab")
    first = page.evaluate(FOCUSED)
    assert "Skip to the report" in first["name"]
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#report"
    page.goto("about:blank")
    page.goto(page_file.as_uri())
    visible = page.evaluate(
        "[...document.querySelectorAll('a, summary, [tabindex=\"0\"]')]"
        ".map((one, at) => one.checkVisibility() ? at : -1).filter(at => at >= 0)"
    )
    places = []
    for _ in visible:
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUSED)
        assert found["ring"] != "none", found["name"]
        places.append(found["place"])
    assert places == visible


def test_a_keyboard_opens_and_closes_what_is_folded(wide: Opened) -> None:
    summary = wide.page.locator("#glance summary").first
    summary.focus()
    wide.page.keyboard.press("Enter")
    details = wide.page.locator("#glance details").first
    assert details.get_attribute("open") is not None
    wide.page.keyboard.press("Space")
    assert details.get_attribute("open") is None


def test_a_screen_reader_is_told_what_every_part_is(wide: Opened) -> None:
    page = wide.page
    assert page.evaluate("document.documentElement.lang") == "en"
    for landmark in ("header", "nav", "main", "footer"):
        assert page.locator(landmark).count() == 1
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(one => +one.localName[1])")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    charts = page.evaluate(
        "[...document.querySelectorAll('svg.chart')].map(one => [one.getAttribute('role'),"
        " one.querySelector('title').textContent, one.querySelector('desc').textContent,"
        " one.closest('figure').querySelectorAll('details table').length])"
    )
    assert len(charts) >= 6
    assert all(role == "img" and title and description and tables == 1 for role, title, description, tables in charts)
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))
    assert page.evaluate("[...document.querySelectorAll('tbody tr')].every(row => row.querySelector('th[scope=row]'))")
    assert page.evaluate("[...document.querySelectorAll('thead th')].every(one => one.scope === 'col')")


def test_it_prints_on_light_paper_without_navigation(browser: sync_api.Browser, page_file: Path) -> None:
    opened = Opened(browser, page_file, 1200, "dark")
    opened.page.emulate_media(media="print")
    assert opened.page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert opened.page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    printed = opened.page.pdf(format="A4")
    assert printed.startswith(b"%PDF-") and 2 <= printed.count(b"/Type /Page\n") <= 40
    opened.context.close()


def test_links_lead_to_sections(wide: Opened) -> None:
    missing = wide.page.evaluate(
        "[...document.querySelectorAll('a')].map(one => one.getAttribute('href'))"
        ".filter(to => !document.querySelector(to))"
    )
    assert missing == []


def test_a_report_without_data_reads_as_well(browser: sync_api.Browser, report: Report, tmp_path: Path) -> None:
    bare = replace(report, groups={}, missing_groups=dict.fromkeys(("source", "domain", "language", "time"), "none."))
    (tmp_path / "bare.html").write_text(render_page(bare), "utf-8")
    opened = Opened(browser, tmp_path / "bare.html", 1200, "light")
    assert "By month: none." in opened.page.inner_text("main") and not opened.said
    opened.context.close()
