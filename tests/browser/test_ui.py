"""What a person sees and does in the browser, on the running UI with its daemon."""

import pytest

from bonito_assets import tables

pytestmark = pytest.mark.slow


def metadata_row(visit, name):
    """The row of the table of metadata that is called `name`."""
    cell = visit.page.get_by_role("cell", name=name, exact=True)
    return visit.page.get_by_role("row").filter(has=cell)


def test_the_asset_graph_shows_every_group_and_every_asset(visit, ui):
    found = ui.ask("{ assetNodes { groupName assetKey { path } } }")["assetNodes"]
    names = {node["assetKey"]["path"][-1] for node in found}
    groups = {node["groupName"] for node in found}
    assert {"documents", "instruction_dataset", "evaluation"} <= names
    visit.page.set_viewport_size(
        {"width": 1600, "height": 2600}
    )  # all of it: the rest is not drawn
    visit.open("/asset-groups")
    assert missing_from_the_graph(visit, groups) == set()
    visit.page.keyboard.press("Alt+e")  # expands all groups
    assert missing_from_the_graph(visit, names) == set()


def missing_from_the_graph(visit, names):
    """Those of `names` that no box shows, once the graph has been drawn."""
    for _ in range(60):
        shown = visit.page.locator("svg foreignObject").all_text_contents()
        missing = {name for name in names if not any(fits(text, name) for text in shown)}
        if not missing:
            break
        visit.page.wait_for_timeout(500)
    return missing


def fits(text, name):
    """Tells whether a box says `name`, which may be shortened in its middle."""
    start, cut, end = text.partition("…")
    return name in text or bool(cut and start and name.startswith(start) and name.endswith(end))


def choose(visit, corpus):
    """Clicks on a corpus in the list of partitions."""
    visit.page.get_by_text(corpus, exact=True).filter(visible=True).last.click()
    visit.page.wait_for_url(f"**partition={corpus}*")


def test_the_page_of_partitions_lists_every_corpus_with_its_state(visit):
    visit.open("/assets/chunks?view=partitions")
    for count in ("Materialized (1)", "Missing (1)", "Failed (0)"):
        visit.page.get_by_text(count).wait_for()
    choose(visit, "hostile")
    visit.page.get_by_text("Materialized", exact=True).wait_for()
    choose(visit, "fresh")
    visit.page.get_by_text("No metadata entries").wait_for()


def test_columns_are_shown_with_their_meaning_and_where_they_come_from(visit):
    visit.open("/assets/chunks")
    visit.page.get_by_text("Column name").wait_for()
    for name, meaning in tables.meanings("chunks").items():
        cell = visit.page.get_by_role("cell", name=name, exact=True).first
        described = visit.page.get_by_role("row").filter(has=cell).first.inner_text()
        assert meaning in described
    assert "documents.text" in visit.page.locator("body").inner_text()


def test_a_plot_in_metadata_is_a_picture(visit):
    visit.open("/assets/chunks?view=partitions&partition=hostile")
    metadata_row(visit, "tokens").get_by_text("[Show Markdown]").click()
    picture = visit.page.get_by_role("dialog").locator("img")
    picture.wait_for()
    assert picture.get_attribute("src").startswith("data:image/png;base64,")
    assert picture.evaluate("image => image.naturalWidth") > 100


@pytest.mark.parametrize("asset", ["documents", "chunks"])
def test_hostile_text_is_shown_as_text_and_does_nothing(visit, asset):
    for path in (f"/assets/{asset}?view=partitions&partition=hostile", f"/assets/{asset}"):
        visit.open(path)
        row = metadata_row(visit, "sample")
        row.wait_for()
        shown = row.inner_text()
        assert '<img src=x onerror="window.broken = 2">' in shown
        assert "[the water](javascript:window.broken=3)" in shown
        assert "<script>alert(4)</script>" in shown
        assert row.locator("img, script, iframe, svg, b, strong, code").count() == 0
        assert row.locator("a[href^='javascript'], a[href^='data']").count() == 0
        visit.page.wait_for_timeout(1000)  # what an event handler would do, it does now
        assert visit.broken() == []


def test_what_is_watched_for_would_be_seen(visit):
    visit.open("/assets/chunks")
    # The page's own policy may forbid an inline handler; one that is set by hand is not.
    visit.page.evaluate("window.broken = 1; setTimeout(() => alert('seen'))")
    visit.page.evaluate("new Image().src = 'http://192.0.2.1/seen.png'")
    visit.page.wait_for_timeout(500)
    assert visit.broken() == ["seen", "http://192.0.2.1/seen.png", 1]


def test_a_corpus_is_refreshed_by_clicks_alone(visit, ui):
    visit.open("/assets/documents?view=partitions")
    choose(visit, "fresh")
    visit.page.get_by_text("No metadata entries").wait_for()
    visit.page.get_by_role("button", name="Materialize").first.click()
    dialog = visit.page.get_by_role("dialog")
    dialog.get_by_text("1 partition", exact=True).wait_for()
    dialog.get_by_role("button", name="Launch 1 run").click()
    assert last_run(visit, ui) == "SUCCESS"
    visit.open("/assets/documents?view=partitions&partition=fresh")
    visit.page.get_by_text("Materialized", exact=True).wait_for()
    rows = metadata_row(visit, "dagster/partition_row_count")
    assert rows.inner_text().split() == ["dagster/partition_row_count", "2"]


def last_run(visit, ui):
    """The status of the run that came last, once it has ended."""
    query = "{ runsOrError(limit: 1) { ... on Runs { results { status tags { key value } } } } }"
    for _ in range(360):
        [run] = ui.ask(query)["runsOrError"]["results"]
        of_this = {"key": "dagster/partition", "value": "fresh"} in run["tags"]
        if of_this and run["status"] in ("SUCCESS", "FAILURE", "CANCELED"):
            break
        visit.page.wait_for_timeout(500)
    return run["status"] if of_this else "it was never launched"
