"""A running UI over two small corpora, and a browser that looks at it."""

import pytest

from tests.browser import ui as user_interface

# Prose enough to be kept as a passage, and short enough to stand in a sample whole.
HOSTILE = (
    'The grey heron <img src=x onerror="window.broken = 2"> stands in '
    "[the water](javascript:window.broken=3) for hours and waits for a fish. "
    "![It](http://192.0.2.1/a.png) eats <script>alert(4)</script> frogs | **too**, "
    "and in March it builds a nest of sticks in a tall tree near the river.\n"
)
CATALOGUE = "source: {files: 'docs/*.md'}\ntask_types: [exqa]\n"


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="install it with: pip install playwright"
    )
    path = user_interface.browser()
    if path is None:
        pytest.skip(
            "no browser: install chromium (apt install chromium), or run: playwright install "
            "chromium"
        )
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(
            executable_path=path,
            args=["--no-sandbox"],  # a container's root user has no sandbox
        )
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def ui(browser, tmp_path_factory):
    """The UI over a corpus of hostile text, cut into passages, and one that was never refreshed."""
    place = tmp_path_factory.mktemp("ui")
    environment = user_interface.furnished(place)
    for corpus in ("hostile", "fresh"):
        (place / "corpora" / f"{corpus}.yaml").write_text(CATALOGUE)
    docs = place / "corpora" / "docs"
    docs.mkdir()
    (docs / "<img src=x onerror=alert(8)>.md").write_text(HOSTILE)
    (docs / "reeds.md").write_text("The reed warbler hangs its nest between the stems of reeds.\n")
    user_interface.bonito(environment, "run", "hostile", "--to", "chunks")
    user_interface.bonito(environment, "register")
    with user_interface.running(environment) as running:
        yield running


class Visit:
    """A page of the UI, and everything that it did which no text may make it do."""

    def __init__(self, page, url):
        self.page, self.url = page, url
        self.dialogs, self.foreign = [], []
        page.on("dialog", self._dismiss)
        page.on("request", self._note)

    def _dismiss(self, dialog):
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _note(self, request):
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.foreign.append(request.url)

    def open(self, path):
        """Opens a page of the UI."""
        self.page.goto(f"{self.url}{path}", wait_until="load")

    def broken(self):
        """Gives what text of a corpus got the page to do: nothing, if all is well."""
        flag = self.page.evaluate("window.broken")
        return [*self.dialogs, *self.foreign, *([flag] if flag is not None else [])]


@pytest.fixture
def visit(browser, ui):
    """A fresh window."""
    context = browser.new_context(viewport={"width": 1600, "height": 1100})
    context.set_default_timeout(20_000)
    yield Visit(context.new_page(), ui.url)
    context.close()
