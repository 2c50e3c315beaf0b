"""The paper's table: measured beside published."""

from __future__ import annotations

import pytest

from bonito_assets.paper import table
from bonito_assets.paper.published import FIGURES
from bonito_assets.paper.results import Result


def _result(corpus: str = "letters", refused: str = "", **arms: float) -> Result:
    arms = arms or {"base": 0.25, "tapt": 0.2, "tuned": 0.5}
    gain = (0.1, 0.4)
    return Result(corpus, "choice_f1", 1200, arms, gain, "bonito", "mistral", 99, refused, "key")


def test_scores_are_shown_in_percent_with_the_interval_of_the_gain() -> None:
    (row,) = table.rows([_result()])
    assert row["questions"] == "1,200"
    assert (row["no tuning"], row["TAPT"], row["Bonito"]) == ("25.0", "20.0", "50.0")
    assert row["gain of Bonito, 95%"] == "+10.0 to +40.0"


def test_published_figures_stand_beside_the_papers_sets_and_are_marked_as_not_verified() -> None:
    (row,) = table.rows([_result("contract_nli")])
    assert (row["paper: no tuning"], row["paper: Bonito"]) == ("31.2 ?", "71.9 ?")
    assert "not verified" in table.markdown([_result("contract_nli")])


def test_a_corpus_that_the_paper_does_not_have_gets_no_published_figure() -> None:
    (row,) = table.rows([_result()])
    assert {row[head] for head in row if head.startswith("paper")} == {""}
    assert "not verified" not in table.markdown([_result()])


def test_an_arm_that_was_not_tuned_leaves_its_place_empty() -> None:
    rows = table.rows([_result(base=0.2, tuned=0.4), _result("b")])
    assert rows[0]["TAPT"] == ""
    assert (rows[2]["no tuning"], rows[2]["TAPT"], rows[2]["Bonito"]) == ("22.5", "", "45.0")


def test_published_means_stand_only_under_all_seven_sets() -> None:
    seven = [_result(corpus) for corpus in FIGURES]
    assert table.rows(seven)[-1]["paper: Bonito"] == "66.7 ?"
    assert table.rows(seven)[-1]["paper: no tuning"] == "27.6 ?"
    assert table.rows(seven[:6])[-1]["paper: Bonito"] == ""


def test_a_release_that_was_refused_is_in_the_table_and_said_to_be() -> None:
    text = table.markdown([_result(refused="check answers_fit failed: they do not fit")])
    assert "| letters |" in text
    assert "letters: the release was refused. check answers_fit failed" in text


@pytest.mark.parametrize("arms", [{"base": 0.1, "tuned": 0.2}, {}])
def test_the_markdown_table_has_as_many_cells_in_each_row(arms: dict[str, float]) -> None:
    lines = [s for s in table.markdown([_result(**arms)]).splitlines() if s.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
