"""A refresh writes table and bill, and nothing at all where it cannot begin."""

import pytest

from bonito_assets import tables
from bonito_assets.catalogue import CatalogueError, Corpus
from bonito_assets.generation import bill as bills
from bonito_assets.generation.refresh import refresh
from resources.generator import Outcome
from resources.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(root=str(tmp_path))
    rows = [
        {"corpus": "c", "chunk_id": f"c{i}", "doc_id": "d", "position": i, "start_char": 0,
         "end_char": 1, "text": f"passage {i}", "n_tokens": 2, "units": ["paragraph"]}
        for i in range(30)
    ]  # fmt: skip
    store.write("chunks", "c", tables.build("chunks", rows))
    return store


def corpus(**changes):
    settings = {"task_types": ["nli", "exqa"], "source": {"files": "x"}, **changes}
    return Corpus(name="c", folder="/", **settings)


def test_the_table_is_complete_and_the_bill_agrees_with_it(store, generator):
    lines = []
    made = refresh(store, corpus(), generator, "run", lines.append)
    table = store.read("generations", "c")
    assert made.due == made.books.rows == table.num_rows == 60
    assert made.bill.generated == 60
    bill = store.read(bills.TABLE, "c").to_pylist()[0]
    assert bill["output_tokens"] == sum(table["output_tokens"].to_pylist())
    assert lines[0].startswith("estimate: 60 of 60")
    assert lines[-1].startswith("bill: ")


def test_the_same_refresh_again_generates_nothing_and_leaves_the_same_bytes(store, generator):
    refresh(store, corpus(), generator, "one", print)
    path = store.folder("generations", "corpus=c") / "data.parquet"
    before = path.read_bytes()
    asked = len(generator.asked)
    again = refresh(store, corpus(), generator, "two", print)
    assert len(generator.asked) == asked
    assert again.cached == 60
    assert path.read_bytes() == before
    assert store.read(bills.TABLE, "c").num_rows == 1


def test_engine_errors_are_asked_for_again_only_on_request(store, generator, monkeypatch):
    healthy = generator._answer
    poisoned = {"text": "passage 7\n"}

    def answer(request):
        if poisoned["text"] in request.prompt:
            return Outcome(request.key, rejected_because="engine_error")
        return healthy(request)

    monkeypatch.setattr(generator, "_answer", answer)
    first = refresh(store, corpus(), generator, "one", print)
    assert first.books.verdicts == {"accepted": 58, "engine_error": 2}
    poisoned["text"] = "nothing is poisoned any more"
    assert refresh(store, corpus(), generator, "two", print).books.accepted == 58
    third = refresh(store, corpus(), generator, "three", print, retry_engine_errors=True)
    assert third.books.accepted == 60
    assert third.bill.generated == 2
    assert refresh(store, corpus(), generator, "four", print).books.accepted == 60


def test_a_cap_in_money_needs_a_price(store, generator):
    with pytest.raises(CatalogueError, match="BONITO_GPU_HOUR_PRICE"):
        refresh(store, corpus(budget={"money": 5}), generator, "run", print)
    assert not store.exists("generations", "c")
