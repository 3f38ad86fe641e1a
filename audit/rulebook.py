"""What a rule is, and the rules that foxing comes with: what each means, why it matters, what to do about a hit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["DEFAULTS", "Action", "Rule"]


class Action(Enum):
    """What a rule asks for. The first rule hit that asks for more than a report sets the action of a row."""

    REPORT = "report"
    DROP = "drop"


@dataclass(frozen=True)
class Rule:
    """One judgement over findings. Nothing is measured here: changing a rule never rereads a corpus.

    Attributes:
        id: two letters and three digits; the first digit is the family (FX1 machine-written, FX2 diversity, FX9 data).
        name: a few words.
        when: boolean expression in Polars SQL over the columns of findings, such as `ai_text.p_human <= 0.01`. Null
            never matches, nor does a row of which a signal that it reads has no measurement. Empty for a rule that
            looks at shards instead of rows.
        action: what to do with the rows that it hits: a report leaves them in.
        budget: share tolerated, 0 to 1; above it `foxing check` fails.
        worst: numeric expression that is larger for worse rows and orders the examples of a report; empty for corpus
            order.
        shown: further columns and `signal.field`s to name beside the examples.
        explanation: what it means, why, and what to do; the text of `foxing rule ID`.
    """

    id: str
    name: str
    when: str
    action: Action = Action.REPORT
    budget: float = 0.0
    worst: str = ""
    shown: tuple[str, ...] = ()
    explanation: str = ""


DEFAULTS: tuple[Rule, ...] = (
    Rule(
        id="FX101",
        name="machine-written",
        when="ai_text.p_human <= 0.01",
        budget=0.05,
        worst="ai_text.margin",
        explanation="""\
What: the document looks less human than 99 % of human reference documents of its language and length. `p_human` is the
conformal p-value of its detector margin (Vovk et al. 2005, Algorithmic Learning in a Random World), taken so that nine
in ten human sources have at most about 1 hit in 100 documents.
Why: models trained on model output lose quality and variety, and pages by chatbots bring invented facts with them.
How it is judged: the share of hits is corrected for the detector's misses and false alarms as measured on labelled
sources (Rogan and Gladen 1978, Am. J. Epidemiol. 107:71), whose spread from source to source is part of the 95 %
interval. It fails when the lower end of the interval is above the budget; with --strict, when the upper end is.
What a hit does not prove: who wrote a document. Up to 1 in 100 human documents is hit by construction, more in
registers that the reference does not know. Never use it against an author.
What to do: read the worst rows of the sources named first; then order the corpus with `foxing curate --curriculum
human-first`, or leave the rows out with `--drop FX101`.""",
    ),
    Rule(
        id="FX102",
        name="assistant residue",
        when="residue.hits > 0",
        budget=0.001,
        worst="residue.hits",
        shown=("residue.phrase",),
        explanation="""\
What: the document holds a phrase by which a chat assistant names itself, its knowledge cut-off or a refusal ("As an AI
language model", "As of my last knowledge update", "I cannot fulfill this request"), or a citation token that leaked
from a chat window, in one of 18 languages. Lead-ins and sign-offs such as "Certainly! Here is" are counted in
`residue.weak_hits` and do not count here.
Why: it is the cheapest certain sign that output was pasted unread, and it teaches a model to refuse.
Hit rate: 0 of 85,444 human documents written before chat assistants (95 % upper bound 0.0045 %) and 0.7 % of 73,766
machine-written ones whose collectors had already removed refusals. So a hit is strong evidence and its absence none.
Texts that discuss or quote chatbots are hit too.
What to do: drop the rows, and look at the other rows of the same source: residue is the tip.""",
    ),
    Rule(
        id="FX201",
        name="low diversity",
        when="diversity.mattr < 0.62 OR diversity.mtld < 26",
        budget=0.03,
        worst="-diversity.mattr",
        explanation="""\
What: few different words for the length: the moving-average type-token ratio over 50 words (MATTR, Covington and McFall
2010) or the measure of textual lexical diversity (MTLD, McCarthy and Jarvis 2010) is lower than in nearly all human web
text. Both hold still as documents get longer; the raw type-token ratio does not and is never used.
Why: templates, lists and collapsed generation waste tokens and narrow what a model writes.
Hit rate: 0.06 % of 39,965 human documents (books, reviews, news, standards) and 0.48 % of 11,491 documents of dated
websites up to 2022. Some kinds of text have more: 1.9 % of Chinese and 3.4 % of Indonesian human documents in labelled
detection sets, 3 % of mailing lists and code-heavy blogs. Null, so never hit, under 50 words.
What to do: read the worst rows; tables and code are often wanted, templates are not.""",
    ),
    Rule(
        id="FX202",
        name="repetition",
        when=(
            "diversity.top_2gram > 0.20 OR diversity.top_3gram > 0.18 OR diversity.top_4gram > 0.20 "
            "OR diversity.dup_5gram > 0.60 OR diversity.dup_10gram > 0.50 "
            "OR diversity.dup_line_share > 0.30 OR diversity.dup_line_bytes_share > 0.20"
        ),
        budget=0.03,
        worst="greatest(diversity.top_2gram, diversity.dup_10gram, diversity.dup_line_bytes_share)",
        explanation="""\
What: the document repeats itself: one phrase, many long phrases or whole lines make up too much of it. The measures are
those of Rae et al. 2021 (Gopher, arXiv:2112.11446, table A1). So are the thresholds of the two most frequent short
phrases and of lines; those of 4-grams and of duplicate 5- to 10-grams are laxer, because Gopher's hit 8.7 % of dated
human web pages.
Why: models learn repetition from little of it, and pages that repeat are mostly boilerplate or collapsed generation.
Hit rate: 0.18 % of 39,965 human documents (books, reviews, news, standards) and 0.80 % of 11,491 documents of dated
websites up to 2022; 1.6 % of the Chinese and 1.7 % of the Japanese ones among these. Null, so never hit, under 50
words.
What to do: drop the rows, or clean boilerplate from the pages before scanning again.""",
    ),
    Rule(
        id="FX901",
        name="unmeasured",
        when="unmeasured > 0",
        budget=0.01,
        worst="unmeasured",
        explanation="""\
What: at least one signal has no finding for the row: its text is null, or the signal raised an error on it.
Why: a row that was not measured is neither good nor bad; too many of them and the other figures say little.
Invalid UTF-8 is measured all the same and counted beside this rule; a detector that abstains (text too short, language
unknown) has measured, and is counted as abstained. Such rows are never dropped for it.
What to do: `foxing findings DIR --columns shard,row,errors` names rows and errors. Check the text column (--text).""",
    ),
    Rule(
        id="FX902",
        name="schema",
        when="",
        budget=0.0,
        explanation="""\
What: a column has another type in this shard than in most shards (share counted over shards). A column or list item
that is null throughout a shard fits any type, and Arrow's large and view types are the plain ones. Dictionary-encoded
text is a type of its own: readers that fix a schema refuse to mix it with plain text.
Why: readers that take the schema of the first shard fail later, or cast and lose values without a word.
What to do: write the shards named again with the type of the others.""",
    ),
    Rule(
        id="FX903",
        name="LFS pointer",
        when="",
        budget=0.0,
        explanation="""\
What: a file is a Git LFS pointer, a note of about 130 bytes that stands for the data (share counted over files).
Why: the data were never fetched; the audit has not seen them and says so with exit status 2.
What to do: `git lfs pull`, then scan again.""",
    ),
    Rule(
        id="FX904",
        name="unreadable",
        when="",
        budget=0.0,
        explanation="""\
What: a file could not be read: torn, of another format than its name says, or without a text column (share counted over
files).
Why: the other files were measured and their findings stand, but the audit is not of the whole corpus and says so with
exit status 2.
What to do: the message beside the file names the remedy. Scan again: what is done is kept.""",
    ),
)
"""The rules judged unless configuration says otherwise, in the order in which they decide a row's action."""
