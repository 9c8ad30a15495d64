"""The page in a real browser: it loads, sorts, filters, slides, links and can be used with a keyboard alone."""

from __future__ import annotations

import json

import pytest

from ddbench.publish.leaderboard import ordered
from ddbench.publish.page import page
from tests.e2e.browser import CHROMIUM, Browser
from tests.page_fixtures import HOSTILE, pictures, records

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (apt-get install chromium)"),
    pytest.mark.xdist_group("browser"),
]

MAIN = "document.querySelector('table.main')"
OPENED = "document.querySelector('#panel').open"
ROWS = f"[...{MAIN}.tBodies].at(-1).rows"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "page with spaces.html"
    found = ordered(records())
    text = page(found, title="Tests & <more>", sources=["a.jsonl"], pictures=pictures(found))
    file.write_text(text)
    return file.as_uri()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def browser(running, url):
    running.size(1280, 900)
    running.prefer("light")
    running.events.clear()
    running.open(url)
    yield running
    assert running.complaints() == []


def column(browser, number):
    return browser.js(f"[...{ROWS}].filter(r => !r.hidden).map(r => r.cells[{number}].innerText.trim())")


def means(browser, number):
    return browser.js(f"[...{ROWS}].map(r => r.cells[{number}].dataset.v).filter(v => v !== undefined).map(Number)")


def state(browser, number):
    return browser.js(f"{MAIN}.tHead.rows[0].cells[{number}].getAttribute('aria-sort')")


def test_it_loads_from_disk_asks_no_network_and_runs_nothing_that_a_label_says(browser):
    assert browser.js("document.title") == "Tests & <more>"
    assert browser.js("document.querySelector('h1').textContent") == "Tests & <more>"
    assert HOSTILE in browser.js("[...document.querySelectorAll('tr')].map(r => r.dataset.row)")
    assert browser.js("document.querySelectorAll('img:not([src^=\"data:\"])').length") == 0
    assert browser.js("document.querySelectorAll('script').length") == 2  # our data and our script


def test_a_header_sorts_down_then_up_then_back_and_says_so(browser):
    before = column(browser, 0)
    button = f"table.main thead th:nth-child({2 + 1}) button"
    browser.click(button)
    falling = means(browser, 2)
    assert state(browser, 2) == "descending"
    assert falling == sorted(falling, reverse=True)
    assert len(falling) > 2
    browser.click(button)
    assert state(browser, 2) == "ascending"
    assert means(browser, 2) == sorted(falling)
    assert column(browser, 0)[-1] not in [before[0]]
    browser.click(button)
    assert state(browser, 2) == "none"
    assert column(browser, 0) == before


def test_rows_without_a_number_come_last_in_both_directions(browser):
    button = "table.main thead th:nth-child(2) button"
    for _ in range(2):
        browser.click(button)
        texts = column(browser, 1)
        known = [any(c.isdigit() for c in text.split("±")[0]) and "±" in text for text in texts]
        assert known == sorted(known, reverse=True), texts


def test_references_stay_on_top_however_the_rest_is_sorted(browser):
    browser.click("table.main thead th:nth-child(1) button")
    assert browser.js(f"{MAIN}.tBodies[0].rows[0].dataset.row") == "full"
    names = column(browser, 0)
    assert "full" not in names
    assert [n.lower() for n in names[1:]] == sorted(n.lower() for n in names[1:])


def test_typing_filters_rows_everywhere_and_the_count_says_how_many(browser):
    browser.click("#filter")
    browser.write("DaTm")
    shown = browser.js(
        "[...document.querySelectorAll('[data-row]')].filter(e => e.getClientRects().length).map(e => e.dataset.row)"
    )
    assert set(shown) == {"datm"}
    assert browser.js("document.querySelector('#count').textContent") == "2 rows in 2 tables"
    browser.write("zzz")
    assert browser.js("document.querySelector('#count').textContent") == "nothing fits this filter"
    browser.click("#show-all")
    browser.until("document.querySelector('#count').textContent.endsWith('2 tables')")
    assert len(column(browser, 0)) == 4


def test_kinds_and_students_filter(browser):
    browser.click(".kind[value=distillation]")
    assert [name.split()[0] for name in column(browser, 0)] == ["random"]
    browser.click(".kind[value=distillation]")
    choose = "s => { const e = document.querySelector('#student'); e.value = s; e.dispatchEvent(new Event('input', {bubbles: true})); }"
    browser.js(f"({choose})('mlp-w128-nn')")
    sections = (
        "[...document.querySelectorAll('.table-section')].filter(s => s.checkVisibility()).map(s => s.dataset.student)"
    )
    assert browser.js(sections) == ["mlp-w128-nn"]
    assert browser.js("document.querySelector('details.table-section').open") is True


def test_the_slider_goes_through_the_states_of_a_set(browser):
    card = "document.querySelector('.card[data-row=datm]')"
    visible = f"[...{card}.querySelectorAll('img')].filter(i => i.checkVisibility()).map(i => i.dataset.step)"
    assert browser.js(visible) == ["150"]
    browser.js(f"{card}.querySelector('input').focus()")
    browser.press("ArrowLeft")
    assert browser.js(visible) == ["100"]
    assert browser.js(f"{card}.querySelector('output').textContent") == "step 100"
    assert browser.js(f"{card}.querySelector('input').getAttribute('aria-valuetext')") == "step 100"
    browser.press("Home")
    assert browser.js(visible) == ["50"]
    browser.js("(s => { s.value = 65; s.dispatchEvent(new Event('input')); })(document.querySelector('.together'))")
    assert browser.js(visible) == ["100"]


def test_pictures_are_enlarged_without_smoothing(browser):
    style = "getComputedStyle(document.querySelector('.card img:not([hidden])')).imageRendering"
    assert browser.js(style) == "pixelated"
    wide = "(i => [i.getBoundingClientRect().width > i.naturalWidth, i.naturalWidth])(document.querySelector('.card img:not([hidden])'))"
    assert browser.js(wide) == [True, 19]


def test_a_permalink_opens_the_cell_and_closing_gives_the_address_back(browser, url):
    link = browser.js("document.querySelector('table.main tr[data-row=datm] td:nth-of-type(2) a').getAttribute('href')")
    browser.open(url + link)
    browser.until(OPENED)
    text = browser.js("document.querySelector('#panel').innerText")
    for expected in ("datm · ipc 10", "87.50 %", "Repetitions and students", "ddbench results verify", link):
        assert expected in text
    browser.press("Escape")
    browser.until(f"!{OPENED} && location.hash === ''")
    assert browser.js("document.activeElement.getAttribute('href')") == link


def test_a_link_to_a_filtered_row_shows_it_again(browser):
    browser.click("#filter")
    browser.write("mtt")
    link = browser.js("document.querySelector('table.main tr[data-row=datm] td:nth-of-type(2) a').hash")
    assert "datm" not in column(browser, 0)
    browser.js(f"location.hash = {json.dumps(link)}")
    browser.until(OPENED)
    assert browser.js(f"document.querySelector({json.dumps(link)}).checkVisibility()") is True
    assert browser.js("document.querySelector('#filter').value") == ""


def test_a_permalink_into_a_closed_part_opens_that_part(browser, url):
    link = browser.js("document.querySelector('details.table-section table.main td a').getAttribute('href')")
    browser.open(url + link)
    assert browser.js("document.querySelector('details.table-section').open") is True
    browser.until(OPENED)


def test_markup_in_a_label_and_a_reason_is_text_in_the_panel(browser, url):
    link = browser.js(
        f"[...document.querySelectorAll('table.main tr')].find(r => r.dataset.row === {json.dumps(HOSTILE)}).querySelector('a').hash"
    )
    browser.open(url + link)
    assert HOSTILE in browser.js("document.querySelector('#panel-title').textContent")
    assert "<img src=x onerror=alert(2)>" in browser.js("document.querySelector('#panel-body').textContent")
    assert browser.js("document.querySelectorAll('#panel img, #panel script').length") == 0


def test_the_keyboard_alone_sorts_a_table_and_opens_a_cell(browser):
    reached = []
    for _ in range(60):
        browser.press("Tab")
        element = "document.activeElement"
        ring = f"getComputedStyle({element}).outlineStyle"
        assert browser.js(ring) != "none", browser.js(f"{element}.outerHTML.slice(0, 200)")
        where = browser.js(f"{element}.className || {element}.id || {element}.tagName")
        if where == "sort" and "sort" not in reached:
            browser.press("Enter")
            assert browser.js(f"{element}.closest('th').getAttribute('aria-sort')") == "ascending"
        reached.append(where)
        if where == "cell":
            browser.press("Enter")
            break
    assert reached[0] == "skip"
    assert {"theme", "filter", "kind", "show-all", "sort", "cell"} <= set(reached)
    browser.until(OPENED)
    assert browser.js("document.querySelector('#panel').contains(document.activeElement)") is True


def test_the_theme_follows_the_system_until_the_reader_chooses(browser, url):
    back = "getComputedStyle(document.body).backgroundColor"
    light = browser.js(back)
    browser.prefer("dark")
    dark = browser.js(back)
    assert dark != light
    browser.click("#theme")
    assert browser.js(back) == light
    browser.open(url)
    assert browser.js(back) == light  # kept over a reload
    browser.click("#theme")
    assert browser.js(back) == dark
    browser.js("localStorage.clear()")


def test_a_series_can_be_hidden_in_the_curves(browser):
    shown = "[...document.querySelectorAll('.series')].filter(g => g.getClientRects().length).map(g => g.dataset.row)"
    assert "datm" in browser.js(shown)
    browser.click(".series-legend [data-row=datm] button")
    assert "datm" not in browser.js(shown)
    assert (
        browser.js("document.querySelector('.series-legend [data-row=datm] button').getAttribute('aria-pressed')")
        == "false"
    )


def test_nothing_is_wider_than_a_phone(browser, url):
    browser.size(360, 740, phone=True)
    browser.open(url)
    browser.js("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert browser.js("document.documentElement.scrollWidth") == 360
    small = browser.js(
        "[...document.querySelectorAll('button, select, input:not([type=checkbox])')].filter(e => e.checkVisibility())"
        ".map(e => [e.outerHTML.slice(0, 60), e.getBoundingClientRect().height]).filter(([, h]) => h < 16)"
    )
    assert small == []
    browser.js("document.querySelector('table.main a.cell').click()")
    browser.until(OPENED)
    assert browser.js("document.querySelector('#panel').getBoundingClientRect().width <= 360")
