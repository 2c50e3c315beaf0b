"""The word with which a person has work done that nothing calls for."""

import dagster as dg
from pydantic import Field


class AgainConfig(dg.Config):
    """Whether a step does its work even where its result is there and would come out the same."""

    again: bool = Field(
        default=False,
        description="do the work even when nothing that the result depends on has changed",
    )
