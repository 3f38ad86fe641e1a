"""A Markdown table of an assessment, for a comment on a pull request."""

from __future__ import annotations

from audit.assessment import Assessment
from audit.formats import View, interval, percent, plain

__all__ = ["render"]


def render(assessment: Assessment, view: View) -> str:
    """A line for each rule that could be judged: verdict, share with its 95 % interval, and n."""
    lines = ["| rule | verdict | share | 95 % interval | n |", "| --- | --- | ---: | ---: | ---: |"]
    lines += [
        f"| {one.rule.id} {_cell(one.rule.name)} | {one.verdict.value} | {percent(one.share)} "
        f"| {interval(one.interval)} | {one.n:,} |"
        for one in assessment.results
        if one.share is not None
    ]
    return "\n".join([*lines, "", f"`{assessment.signature}`"])


def _cell(text: str) -> str:
    return plain(text).replace("|", "\\|")
