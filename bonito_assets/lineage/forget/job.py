"""The job `forget_documents`, for those who work in the UI; `bonito forget` runs it too."""

import dagster as dg
from pydantic import Field

from bonito_assets.catalogue import Catalogue
from resources.store import Store


class ForgetConfig(dg.Config):
    """What is to be forgotten."""

    corpus: str = Field(description="name of the corpus")
    doc_ids: list[str] = Field(description="ids of documents, or beginnings of them")
    reason: str = Field(default="", description="why, for the record; without what it is about")


@dg.op(description="Forgets documents: rows, outputs, releases, events, and what they left.")
def forget_them(
    context: dg.OpExecutionContext, config: ForgetConfig, catalogue: Catalogue, store: Store
) -> None:
    """Forgets documents and all that came from them, and searches every byte in the end."""
    from bonito_assets.lineage.forget.history import History
    from bonito_assets.lineage.forget.run import forget
    from bonito_assets.lineage.forget.subject import ForgetError

    # In the UI the tag that a refresh carries is easily left out.
    store.write_for(config.corpus)
    try:
        done = forget(
            store,
            catalogue,
            config.corpus,
            config.doc_ids,
            config.reason,
            History(context.instance, context.run_id),
            context.instance,
            context.run_id,
            context.log_event,
            context.log.info,
        )
    except ForgetError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    context.log.info(done.sentence())


@dg.job(
    description="Forgets documents of a corpus and all that came from them. Name them in the "
    "configuration of the op. With the tag dagster/partition it waits while a refresh of the "
    "corpus is under way; without it is refused then."
)
def forget_documents() -> None:
    """Forgets documents of a corpus and all that came from them."""
    forget_them()
