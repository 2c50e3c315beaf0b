"""The job `verify_files`: every published file is compared with its checksum, at night."""

from typing import Any

import dagster as dg
from pydantic import Field

from bonito_assets.metadata import markdown_table
from bonito_assets.operations.verify import Report, verify
from resources.store import Store

_SHOWN = 50


class VerifyConfig(dg.Config):
    """What to look at."""

    corpora: list[str] = Field(default=[], description="only these corpora; all there are without")


@dg.op(description="Reads every published file and compares it with its checksum.")
def compare_files(context: dg.OpExecutionContext, config: VerifyConfig, store: Store) -> None:
    """Fails when a file is not what was published; the metadata names each and its remedy."""
    report = verify(store, config.corpora or None)
    shown = _metadata(report)
    if report.problems:
        first = report.problems[0]
        more = f", and {len(report.problems) - 1} more" if len(report.problems) > 1 else ""
        raise dg.Failure(
            f"{first.place}: {first.sentence}{more}. What to do: {first.remedy}",
            metadata=shown,
            allow_retries=False,
        )
    context.log.info(f"{report.files:,} files are what was published")
    context.add_output_metadata(shown)


def _metadata(report: Report) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "files": report.files,
        "bytes": report.bytes,
        "problems": len(report.problems),
        "without checksums": len(report.unstamped),
    }
    if report.problems:
        rows = [
            {"file": p.place, "problem": p.sentence, "what to do": p.remedy}
            for p in report.problems[:_SHOWN]
        ]
        shown["what to do"] = dg.MetadataValue.md(markdown_table(rows))
    return shown


@dg.job(description="Compares every published file with its checksum.")
def verify_files() -> None:
    """Finds what a disk, or a person, changed by mistake."""
    compare_files()


nightly_verification = dg.ScheduleDefinition(
    name="nightly_verification",
    job=verify_files,
    cron_schedule="0 2 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every night at two, in UTC. It reads all data, so it is off until you start it.",
)
