"""Words of statements, made comparable: case, endings, and the ways to write a number do not count.

It knows English. In other languages fewer statements are found alike, and so more of them are kept.
"""

import re
from dataclasses import dataclass
from typing import Final


def words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


NOT: Final = "not"
SMALL: Final = words_of(
    """
    a according all also an and any are as at be been being but by can could did do does done each every for from
    had has have he her hers him his how i if in into is it its may me more most must my of off on open or our ours
    out over per s said say says she should so some t than that the their them then there these they this those to
    too under up us user was we were what when where whether which who whom whose why will with would you your
    """
)
# They say that something became what it is, and not what it is.
CHANGE: Final = words_of(
    """
    again already amount back chang confirm cost current cut decid delay extend final finally go happen hold increas
    instead longer lower mov new now occur plac postpon push rais reduc reschedul revis set shift still tak total
    updat
    """
)
_ARTICLES: Final = words_of(
    """
    a an been shall the will would
    """
)
_BE: Final = words_of(
    """
    are be became becomes is remain remains was were
    """
)
_NEGATIONS: Final = words_of(
    """
    cannot neither never no not without
    """
)
_NUMBERS: Final = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
# Numbers and dates in letters, and what they count.
_VALUES: Final = words_of(
    """
    afternoon am april august billion chf day december eur evening february friday hour hundred january july june
    march may midnight million minut monday month morning night noon november october only percent pm saturday
    second september sunday thousand thursday today tomorrow tuesday usd wednesday week year
    """
)
# Written otherwise, or with another stem: what it is taken for.
_SPELLINGS: Final = """
    €:eur euro:eur euros:eur $:usd dollar:usd dollars:usd %:percent franc:chf francs:chf led:lead written:writ
    wrote:writ chose:choos chosen:choos paid:pay sent:send built:build held:hold met:meet bought:buy made:mak
    took:tak taken:tak kept:keep ran:run went:go gone:go began:begin begun:begin found:find sold:sell gave:giv
    given:giv left:leav spent:spend drawn:draw drew:draw news:news sunk:sink
"""
_SAME_WORD: Final = {
    **{word: str(number) for number, word in enumerate(_NUMBERS, 2)},
    **dict(pair.split(":") for pair in _SPELLINGS.split()),
}
_THOUSANDS: Final = re.compile(r"(?<=\d)[,.'’ ](?=\d{3}\b)")
_THOUSAND: Final = re.compile(r"(?<=\d)(?:k|[ -]thousand)\b", re.IGNORECASE)
_SPELLED: Final = re.compile(rf"\b({'|'.join(_NUMBERS)})(?=[ -]thousand\b)", re.IGNORECASE)
_RATHER: Final = re.compile(r"\b(?:instead of|rather than)\b", re.IGNORECASE)
_WORD: Final = re.compile(r"\d+(?:[.:]\d+)*|[^\W\d_]+|[€$%]")


@dataclass(frozen=True, slots=True)
class Token:
    """`stem` is the word without its ending; `small` ones carry no meaning; `article` are those whose place in a
    sentence means nothing either. `capital`: it is written like a name."""

    stem: str
    small: bool
    article: bool
    capital: bool


def tokens(text: str) -> list[Token]:
    """The words of `text`, in order."""
    text = _SPELLED.sub(lambda match: _SAME_WORD[match[1].casefold()], text)
    text = _THOUSAND.sub("000", _THOUSANDS.sub("", text)).replace("n't", " not").replace("n’t", " not")
    # "Budget: 10" says that it is 10.
    text = _RATHER.sub("not", re.sub(r":\s", " is ", text))
    return [_token(match[0], first=index == 0) for index, match in enumerate(_WORD.finditer(text))]


def is_value(stem: str) -> bool:
    """Whether a word is what a fact says about something, rather than what it is about."""
    return stem[0].isdigit() or stem in _VALUES


def _token(word: str, *, first: bool) -> Token:
    folded = word.casefold()
    # "Service A" is not "a service".
    letter = len(word) == 1 and word.isupper() and word != "I" and not first
    small = folded in SMALL and not letter and not (word == "May" and not first)
    if folded in _NEGATIONS:
        return Token(NOT, small=False, article=False, capital=False)
    stem = "be" if folded in _BE else folded if small or letter else _stem(folded)
    return Token(stem, small or stem == "be", folded in _ARTICLES, word[:1].isupper())


def _stem(word: str) -> str:
    if word in _SAME_WORD or word[0].isdigit():
        return _SAME_WORD.get(word, word)
    if word[-1:] == "s" and len(word) > 3 and not word.endswith("ss"):
        word = word[:-3] + "y" if word.endswith("ies") and len(word) > 4 else word[:-1]
    for ending in ("ing", "ed"):
        if word.endswith(ending) and not word.endswith("eed") and len(word) > len(ending) + 1:
            word = word.removesuffix(ending)
            break
    word = word.removesuffix("e") if len(word) > 2 else word
    # planned, plan
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word
