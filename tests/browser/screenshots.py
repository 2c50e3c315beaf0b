"""The pictures of the README, taken of a finished run of the demo.

`python -m tests.browser.screenshots PLACE`, where PLACE holds the folders ``home`` (Dagster's) and
``data`` of a finished `bonito run demo`. Nothing is written there but logs and settings of the UI,
so give it a copy.
"""

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.browser import ui as user_interface

IMAGES = user_interface.REPOSITORY / "docs" / "images"
# The chain itself; the settings that it reads stay one box. The UI keeps open groups in its address
# by location and repository, both of which it calls global here.
_EXPANDED = [
    f"global@global:{group}"
    for group in (
        *("ingestion", "model", "chunking", "generation", "parsing"),
        *("curation", "publishing", "tuning", "evaluation"),
    )
]
# The pages of the UI, each with the height of the window in pixels; 1600 wide.
_PAGES = {
    "asset-graph": (f"/asset-groups?expanded={','.join(_EXPANDED)}", 1150),
    "partition": ("/assets/curated_tasks?view=partitions&partition=demo", 1200),
    "metadata": ("/assets/chunks", 1500),
    "runs": ("/runs", 700),
}


def main(place: Path) -> None:
    """Writes every picture into ``docs/images``."""
    environment = user_interface.furnished(place)
    environment["BONITO_CORPORA"] = str(user_interface.REPOSITORY / "corpora")
    with user_interface.running(environment) as ui, sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=user_interface.browser(), args=["--no-sandbox"]
        )
        for name, (path, height) in _PAGES.items():
            page = opened.new_page(viewport={"width": 1600, "height": height})
            page.goto(f"{ui.url}{path}")
            page.wait_for_timeout(6000)  # tables and the graph are laid out bit by bit
            _save(page, name)
            page.close()
        opened.close()


def _save(page: Page, name: str) -> None:
    """Saves a page as a PNG with a palette: a third of the bytes, and no difference to the eye."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(128).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
