"""Docs, code and messages use one word for each thing. `nox -s lint` checks the spelling."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("benchmarks", "docs", "examples", "release", "tests", "wrapper")
KINDS = {".html", ".js", ".md", ".py", ".yaml"}

# A wrong term, and the term to use. Not openapi.yaml, which quotes the vendor.
TERMS = {
    r"anew": "again",
    r"card[-\s]holders?": "cardholder",
    r"(?:fewest|least)_\w+": "min_…",
    r"(?:longest|most)_(?!common\b)\w+": "max_…",
    r"mend(?:s|ed|ing)?": "fix",
    r"pace of looking": "polling interval",
    r"sweeps?": "batch",
    r"under\s+way": "in flight",
    r"waved through": "frictionless",
    r"well-known (?:test )?tokens?": "test token",
}
WRONG = re.compile("|".join(rf"(?P<t{number}>\b(?:{term})\b)" for number, term in enumerate(TERMS)), re.IGNORECASE)
INLINE_CODE = re.compile(r"`[^`\n]*`")  # the changelog names what was renamed


def _wrong_terms(text: str) -> list[str]:
    replacements = list(TERMS.values())
    return [
        f"{match[0]!r}: write {replacements[int((match.lastgroup or '')[1:])]!r}"
        for match in WRONG.finditer(INLINE_CODE.sub("", text))
    ]


def test_no_file_uses_a_replaced_term() -> None:
    files = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
    texts = {path: path.read_text() for path in files if path.suffix in KINDS and path != Path(__file__)}
    assert len(texts) > 100
    wrong = {path.relative_to(ROOT).as_posix(): _wrong_terms(text) for path, text in texts.items()}
    assert {name: terms for name, terms in wrong.items() if terms} == {}


@pytest.mark.parametrize(
    "text",
    [
        "The card holder returns.",
        "Card-holders pay.",
        "A poll that is under\nway",
        "max_connections, not most_connections",
        "longest_wait=3",
        "fewest_tokens",
        "Sign it anew.",
        "a sweep of tokens",
        "well-known tokens",
        "Waved through.",
        "It mends the clock.",
    ],
)
def test_a_replaced_term_is_found(text: str) -> None:
    assert _wrong_terms(text)


@pytest.mark.parametrize(
    "text",
    [
        "Look at the log, and ask the vendor.",
        "Requests leave at an even pace.",
        "counter.most_common(3)",
        "the longest chunk, most of all",
        "recommend, amend, amended",
        "a listener on a loopback port",
        "a well-known port",
        "`wonder-payment sweep` is `wonder-payment batch` now",
        "find a way under load",
    ],
)
def test_good_english_is_not_flagged(text: str) -> None:
    assert _wrong_terms(text) == []
