from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from exporters.reports.page import to_page
from tests.fakes.finance import MARKUP, costs, document

VOID = {"meta"}
LEADS_OUT = {"src", "href", "action", "srcset", "data", "poster", "background"}


class Reading(HTMLParser):
    """Knows the tags, the texts, and whether every tag is closed in its order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], set(), set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_runs_nothing_and_asks_nobody():
    text = to_page(document())
    page = Reading(text)
    assert page.open == []
    assert not page.tags & {"script", "link", "img", "iframe", "form", "object", "embed", "base"}
    assert not page.attributes & LEADS_OUT
    assert not {name for name in page.attributes if name.startswith("on")}
    assert "url(" not in text
    assert "@import" not in text
    assert "http://" not in text
    assert "https://" not in text


def test_texts_from_outside_are_only_ever_text():
    assert sum(MARKUP in text for text in Reading(to_page(document())).texts) == 2


def test_light_and_dark_are_both_there():
    text = to_page(document())
    assert "prefers-color-scheme: dark" in text
    assert '<meta name="color-scheme" content="light dark">' in text


def test_a_chart_has_a_bar_for_each_day_and_another_colour_for_an_odd_one():
    text = to_page(document())
    assert text.count('<rect class="bar"') == 29
    assert text.count('<rect class="odd"') == 1


def test_a_long_part_says_how_much_is_left_out():
    rows = [(f"m{n}", "USD", 1, None) for n in range(250)]
    assert "50 more rows are in the other formats." in to_page(document(costs(rows, [])))


@given(st.text())
def test_no_text_breaks_the_page(text):
    page = Reading(to_page(document(costs([(text, "USD", 1, None)], []))))
    assert page.open == []
    assert "script" not in page.tags
