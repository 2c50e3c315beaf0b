import random

import numpy as np

from bonito_assets.tuning.plots import as_markdown, histogram, loss_plot


def test_a_loss_plot_of_a_long_run_is_a_png_that_fits_into_metadata():
    noise = random.Random(0)
    image = loss_plot({"bonito": [(step, 3 + noise.random()) for step in range(1, 1001)]})
    assert image.startswith(b"\x89PNG")
    assert len(as_markdown(image, "loss")) <= 20_000


def test_a_loss_plot_of_two_arms_with_one_step_each_can_be_drawn():
    assert loss_plot({"bonito": [(1, 2.0)], "tapt": [(1, 3.0)]}).startswith(b"\x89PNG")


def test_an_image_in_markdown_carries_its_data():
    assert as_markdown(b"ab", "loss") == "![loss](data:image/png;base64,YWI=)"


def test_a_histogram_of_many_rows_fits_into_metadata_and_one_row_can_be_drawn():
    lengths = np.random.default_rng(0).lognormal(6, 1, 100_000).astype(int)
    assert len(as_markdown(histogram(lengths, "tokens"), "rows by tokens")) <= 20_000
    assert histogram(np.array([7]), "tokens").startswith(b"\x89PNG")
