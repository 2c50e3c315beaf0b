"""How far the estimate of a refresh is from its bill, on a model without history and then with it.

The first refresh of each corpus is of an empty cache and is estimated by typical lengths; the
second asks for a second sample of every passage and is estimated by the history of the first.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bonito_assets import settings
from bonito_assets.catalogue import Corpus, load
from bonito_assets.chunking.refresh import refresh as cut
from bonito_assets.generation.refresh import Refreshed, refresh
from bonito_assets.ingestion.documents import refresh as ingest
from resources.store import Store

DEMO = settings.PROJECT / "corpora" / "demo.yaml"


def generated(store: Store, corpus: Corpus) -> Refreshed:
    """Gives a refresh of `corpus` up to its generations."""
    generator = settings.generator()
    ingest(store, corpus, lambda line: None)
    model = generator.resolve()
    cut(store, corpus, model, generator.window(model))
    return refresh(store, corpus, generator, "benchmark", lambda line: None)


def measure(files: Sequence[Path] = (DEMO,)) -> str:
    """Gives the section of RESULTS.md."""
    lines = [
        "## Estimate and bill",
        "",
        f"`python -m benchmarks.estimates {' '.join(file.name for file in files)}`, model "
        f"`{Path(settings.model()).name}`: the first refresh is estimated without history of the "
        "model, the second (another sample of each passage) with it. Each corpus has a cache of "
        "its own.",
        "",
        "| corpus | refresh | requests | tokens foreseen | tokens | ratio | s foreseen | s |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for file in files:
        corpus = load(file)
        with tempfile.TemporaryDirectory() as folder:
            store = Store(root=folder)
            for name, samples in (("first", 1), ("second", 2)):
                asked = corpus.model_copy(update={"samples_per_chunk": samples})
                made = generated(store, asked)
                foreseen, bill = made.estimate, made.bill
                tokens = foreseen.prompt_tokens + foreseen.output_tokens
                seconds = f"{foreseen.gpu_seconds:.0f}" if foreseen.gpu_seconds else "unknown"
                lines.append(
                    f"| {corpus.name} | {name} | {bill.generated:,} | {tokens:,} | {bill.tokens:,} "
                    f"| {tokens / bill.tokens:.2f} | {seconds} | {bill.gpu_seconds:.0f} |"
                )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, default=[DEMO], help="catalogue files")
    print(measure(parser.parse_args().files))


if __name__ == "__main__":
    main()
