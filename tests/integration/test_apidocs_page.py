"""The page of the documentation, as its container serves it and as a browser shows it."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, Page, async_playwright

import ecs
from tests.network import free_port
from tests.waiting import eventually, wait_until

DOCKERFILES = Path(ecs.__file__).parent.parent / "dockerfiles"
SIZES = [(1280, 900), (390, 844)]
BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
OPERATIONS = {"run_task", "health", "version", "noop"}


@dataclass
class Seen:
    """A page that is shown, and what its browser asked for and complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The container's own entrypoint and nginx.conf, on this machine; yields the page's URL."""
    context = tmp_path_factory.mktemp("apidocs") / "context"
    shutil.copytree(DOCKERFILES / "apidocs", context, ignore=shutil.ignore_patterns("node_modules"))
    shutil.copy(DOCKERFILES / "render", context)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--prefix", context], check=True)
    build = DOCKERFILES / "apidocs" / "build.py"
    subprocess.run([sys.executable, build, context / "site"], check=True)
    port = free_port()
    configuration = context / "nginx.conf"
    text = configuration.read_text(encoding="utf-8")
    assert "listen 8080;" in text
    text = text.replace("listen 8080;", f"listen 127.0.0.1:{port};")
    if os.geteuid() == 0:  # as nobody, nginx could not enter the tests' directory
        text = f"user root;\n{text}"
    configuration.write_text(text, encoding="utf-8")
    work = context / "work"
    work.mkdir()
    process = subprocess.Popen(
        [context / "entrypoint"], env={"PATH": os.environ["PATH"], "TMPDIR": str(work)}
    )
    try:
        wait_until(lambda: (work / "nginx.pid").exists() or process.poll() is not None, 10)
        assert process.poll() is None
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    program = shutil.which("chromium")
    assert program, "these tests need Debian's package chromium"
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=program, args=BROWSER_FLAGS)
        yield started
        await started.close()


async def show(browser: Browser, site: str, size: tuple[int, int]) -> Seen:
    page = await browser.new_page(viewport={"width": size[0], "height": size[1]})
    seen = Seen(page)
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("console", lambda message: seen.complaints.append(f"{message.type} {message.text}"))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    await page.goto(site)
    for operation in OPERATIONS:
        await page.wait_for_selector(f'[id$="operation/{operation}"]', state="attached")
    return seen


@pytest.mark.parametrize("size", SIZES)
async def test_the_page_shows_every_operation_and_asks_nobody_else(
    browser: Browser, site: str, size: tuple[int, int]
) -> None:
    seen = await show(browser, site, size)

    own = (f"{site}/", f"blob:{site}/", "data:")
    assert [url for url in seen.requests if not url.startswith(own)] == []
    assert seen.complaints == []
    text = await seen.page.inner_text("body")
    for title in ("Run a task", "Is it well?", "Which version is it?", "Do nothing"):
        assert title in text


@pytest.mark.parametrize("size", SIZES)
async def test_nothing_scrolls_sideways(browser: Browser, site: str, size: tuple[int, int]) -> None:
    seen = await show(browser, site, size)

    assert await seen.page.evaluate("document.scrollingElement.scrollWidth") <= size[0]


async def test_the_search_leads_to_an_operation(browser: Browser, site: str) -> None:
    page = (await show(browser, site, SIZES[0])).page

    await page.get_by_label("Search").fill("_health")
    await page.locator('[data-role="search:results"] li').first.click()

    await eventually(lambda: page.url.endswith("operation/health"))
    heading = page.get_by_role("heading", name="Is it well?")
    await eventually(lambda: heading.evaluate("e => Math.abs(e.getBoundingClientRect().top) < 900"))


async def test_each_link_within_the_site_leads_somewhere(browser: Browser, site: str) -> None:
    page = (await show(browser, site, SIZES[0])).page

    links = set(await page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)"))
    anchors = {link.partition("#")[2] for link in links if link.startswith(f"{site}/#")}
    files = {link for link in links if link.startswith(f"{site}/")} - {
        f"{site}/#{anchor}" for anchor in anchors
    }
    ids = await page.eval_on_selector_all("[id]", "all => all.map(e => encodeURI(e.id))")

    assert anchors
    assert anchors - set(ids) == set()
    assert files == {f"{site}/openapi.json"}
    async with aiohttp.ClientSession() as session:
        for url in files:
            async with session.get(url) as response:
                assert response.status == 200


async def test_an_unknown_path_is_not_found(site: str) -> None:
    async with aiohttp.ClientSession() as session:
        for path in ("/nope", "/parameters", "/openapi.json.template"):
            async with session.get(f"{site}{path}") as response:
                assert response.status == 404
                assert response.headers["Server"] == "nginx"


async def test_scripts_come_from_the_site_alone(site: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(site) as response:
        policy = response.headers["Content-Security-Policy"]

    assert "default-src 'none'; script-src 'self';" in policy
    assert "unsafe-eval" not in policy
