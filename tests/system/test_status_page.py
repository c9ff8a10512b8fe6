"""The status page in a browser: on a phone and on a desk, in light and dark, in calm and in an outage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.browser import Browser
from vmaild.demo.ask import ask
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.slapd import Slapd, free_port
from vmaild.demo.tree import tree

pytestmark = pytest.mark.system

SCREENS = {"phone": (360, 740), "desk": (1280, 900)}

# The lowest contrast between a text and what it stands on, as WCAG 2 counts it; 4.5 is its bound.
CONTRAST = """
const parts = colour => colour.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => { const f = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b) };
const behind = e => { for (; e; e = e.parentElement) { const c = parts(getComputedStyle(e).backgroundColor);
  if (c.length < 4 || c[3] > 0) return c } return [255, 255, 255] };
const texts = [...document.body.querySelectorAll("*")].filter(e => [...e.childNodes].some(
  n => n.nodeType == 3 && n.textContent.trim()));
return Math.min(...texts.map(e => { const [a, b] = [parts(getComputedStyle(e).color), behind(e)].map(light);
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) }))
"""
SMALLEST = """
return Math.min(...[...document.body.querySelectorAll("*")].map(e => parseFloat(getComputedStyle(e).fontSize)))
"""


class Site:
    """A daemon with a server that is there and one that is not, and somebody who asks."""

    def __init__(self, home: Path, more: str = "") -> None:
        home.mkdir(exist_ok=True)
        self.slapd = Slapd(home / "slapd", ldif=tree())
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        self._home = home
        self._more = more

    def __enter__(self) -> Site:
        self.slapd.__enter__()
        uris = [self.slapd.uri, f"ldap://127.0.0.1:{free_port()}"]
        listens = [Listen(f"inet:127.0.0.1:{free_port()}")]
        tables = f'[http]\naddress = "inet:{self.url.removeprefix("http://").rstrip("/")}"\n{self._more}'
        self.daemon = DaemonProcess(self._home, uris, listens, tables=tables)
        self.daemon.start()
        for _ in range(2):
            ask(self.daemon.address, "virtual_mailbox_maps", "user1@domain1.example")
        ask(self.daemon.address, "no_such_map", "x")
        return self

    def __exit__(self, *error: object) -> None:
        self.daemon.stop()
        self.slapd.__exit__(*error)


@pytest.fixture(scope="module")
def site(service_home: Path) -> Iterator[Site]:
    with Site(service_home) as site:
        yield site


@pytest.fixture(scope="module")
def screen(service_home: Path) -> Iterator[Browser]:
    browser = Browser(service_home / "browser")
    try:
        browser.start()
        yield browser
    finally:
        browser.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", SCREENS)
def test_it_is_readable(site: Site, screen: Browser, size: str, dark: bool) -> None:
    width, height = SCREENS[size]
    screen.emulate(width, height, dark=dark)
    screen.open(site.url)
    screen.wait_for("document.querySelector('h1')")
    # Nothing is cut off at the side, and nobody has to move the page sideways.
    assert screen.run("return innerWidth") == width
    assert screen.run("return document.documentElement.scrollWidth") <= width
    assert screen.run(CONTRAST) >= 4.5
    assert screen.run(SMALLEST) >= 14
    backs = screen.run("return getComputedStyle(document.body).backgroundColor")
    assert backs == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")


def test_a_phone_shows_each_map_as_a_card_and_a_desk_all_as_a_table(site: Site, screen: Browser) -> None:
    named = "[...document.querySelectorAll('td')].map(e => getComputedStyle(e, '::before').content)[0]"
    heads = "document.querySelector('thead').getBoundingClientRect().right > 0"
    for size, label, shown in (("phone", '"replies"', False), ("desk", "none", True)):
        screen.emulate(*SCREENS[size], dark=False)
        screen.open(site.url)
        assert screen.run(f"return {named}") == label
        assert screen.run(f"return {heads}") is shown


def test_it_loads_nothing_else_and_runs_no_script(site: Site, screen: Browser) -> None:
    screen.open(site.url)
    loaded = "return performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith('data:'))"
    assert screen.run(loaded) == []
    assert screen.run("return document.scripts.length") == 0


def test_an_outage_is_the_first_thing_that_is_seen(site: Site, screen: Browser) -> None:
    screen.emulate(*SCREENS["phone"], dark=True)
    screen.open(site.url)
    assert screen.run("return document.title") == "vmaild: ready"
    site.slapd.stop()
    try:
        ask(site.daemon.address, "virtual_alias_maps", "somebody@domain1.example")
        screen.open(site.url)
        assert screen.run("return document.title") == "vmaild: ready, from the cache only"
        # Without moving the page.
        bottom = screen.run("return document.querySelector('.now').getBoundingClientRect().bottom")
        assert bottom < SCREENS["phone"][1]
        assert "no directory server is up" in screen.text(".now")
    finally:
        site.slapd.start()


def test_a_browser_shows_the_token_as_a_password(service_home: Path, screen: Browser) -> None:
    token = service_home / "token"
    token.touch(mode=0o600)
    token.write_text("0123456789abcdef")
    with Site(service_home / "guarded", f'token_file = "{token}"') as guarded:
        screen.open(guarded.url.replace("//", "//anybody:wrong@"))
        assert "vmaild" not in screen.run("return document.title")
        screen.open(guarded.url.replace("//", "//anybody:0123456789abcdef@"))
        assert screen.run("return document.title") == "vmaild: ready"


def test_it_renews_itself(site: Site, screen: Browser) -> None:
    screen.open(site.url)
    screen.run("document.body.id = 'old'")
    screen.wait_for("!document.getElementById('old') && document.querySelector('h1')")
