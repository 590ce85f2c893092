"""Checks the subject of a commit message, as the hook commit-msg does. It needs no package.

python -m tests.prose.subject FILE
"""

import re
import sys
from pathlib import Path

LONGEST = 72
EXAMPLE = "budgets: Skip the month row when a payer has no limit."

# Git writes these.
_BY_GIT = re.compile(r"Merge |Revert \"|Reapply \"|(?:fixup|squash|amend)! ")
_FORM = re.compile(r"(?P<areas>[a-z0-9_./-]+(?:, [a-z0-9_./-]+)*): (?P<first>[^\W\d_]+)\b.*", re.DOTALL)
_NO_VERB = re.compile(
    "an?|after|all|and|any|as|at|before|both|but|by|each|every|few|for|from|he|how|however|if|in|it|its|less|many|more"
    "|most|no|nobody|none|nothing|of|on|one|only|our|several|she|so|some|that|the|their|there|these|they|this|those"
    "|three|to|two|until|we|what|whatever|when|where|whether|which|while|who|whoever|whose|why|with|without"
)
# A verb in another form than the imperative.
_OTHER_FORM = re.compile(r".*(?:ing|ed|[^s]s)")
# Verbs that only look like another form.
_IMPERATIVE = re.compile(
    "alias|bias|bleed|breed|bring|canvas|embed|exceed|feed|fling|focus|need|ping|proceed|ring|seed|shed|sing|speed"
    "|spring|sting|string|succeed|swing|weed"
)


def problems(subject: str) -> list[str]:
    """Return what is wrong with a subject, a sentence for each rule."""
    if _BY_GIT.match(subject):
        return []
    found = []
    if len(subject) > LONGEST:
        found.append(f"It has {len(subject)} characters; {LONGEST} are allowed.")
    if not subject.endswith(".") or subject.endswith(".."):
        found.append("It must end with one full stop.")
    form = _FORM.match(subject)
    if form is None:
        return [*found, "It must begin with an area in small letters, a colon and a space."]
    first = form["first"]
    if not first[0].isupper():
        found.append(f"The sentence must begin with a capital letter, not with {first!r}.")
    if not _may_be_a_verb(first.lower()):
        found.append(f"The sentence must begin with a verb in the imperative, not with {first!r}.")
    return found


def of_message(text: str) -> str:
    """Return the first line of a message file that is no comment."""
    lines = (line.strip() for line in text.splitlines() if not line.startswith("#"))
    return next((line for line in lines if line), "")


def main() -> int:
    file = Path(sys.argv[1])
    subject = of_message(file.read_text(encoding="utf-8"))
    # Git itself refuses an empty message.
    found = problems(subject) if subject else []
    if not found:
        return 0
    print(f"The commit's subject breaks a rule:\n  {subject}", *(f"- {problem}" for problem in found), sep="\n")
    print(f'Write "area: Imperative sentence.", such as:\n  {EXAMPLE}')
    print(f"Your message is kept. Edit it with: git commit --edit --file={file}")
    return 1


def _may_be_a_verb(word: str) -> bool:
    return bool(_IMPERATIVE.fullmatch(word)) or not (_NO_VERB.fullmatch(word) or _OTHER_FORM.fullmatch(word))


if __name__ == "__main__":
    sys.exit(main())
