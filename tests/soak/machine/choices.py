"""The choices of the machine's rules. A choice that is wanted more often is in its list more often."""

from hypothesis import strategies as st

from tests.faults.actor import AMPLE_S
from tests.soak.machine.deployment import DAY_S, Fate
from tests.soak.machine.model import AGENT_KEYS, LONG, MOODS, NO_TAGS, TAGS, Body

MODES = ("manual", "tag", "roundtable", "orchestrator", "council")
AMOUNTS = (None, None, "5", "0.002", "0")
ALLOWANCES = (None, "5", "0.004", "0.002", "0")
which = st.integers(0, 5)
roster = st.permutations(AGENT_KEYS).flatmap(lambda keys: st.integers(1, 3).map(lambda count: tuple(keys[:count])))
mode = st.sampled_from(MODES)
words = st.lists(st.sampled_from((*TAGS, *TAGS, *NO_TAGS)), min_size=1, max_size=4).map(tuple)
body = st.builds(
    Body,
    st.one_of(words, words, words, st.sampled_from(((), (LONG,)))),
    st.one_of(st.none(), st.none(), mode),
    st.one_of(st.none(), st.none(), roster),
)
held_up = st.builds(Fate, pause=st.sampled_from(Fate.PAUSES), live=st.booleans())
fate = st.one_of(
    st.builds(Fate, kill=st.integers(0, 40), live=st.booleans()),
    held_up,
    st.builds(Fate, left=st.sampled_from(((0.0,), (AMPLE_S, 0.0), (AMPLE_S, AMPLE_S, 0.0))), live=st.booleans()),
)
# A client that waits for the answer, or reads the turn's events at full speed or slowly.
reader = st.builds(Fate, live=st.booleans(), read_s=st.sampled_from((0.0, 0.0, 0.02)))
clock_s = st.sampled_from((0, 0, 0, DAY_S, -DAY_S))
# The slow client is rare.
_MOODY = [name for name in MOODS if name != "no answer"] * 3 + ["no answer"]
mood = st.dictionaries(
    st.sampled_from((*AGENT_KEYS, "routing", "summary")), st.tuples(st.sampled_from(_MOODY), st.booleans()), max_size=2
)
key = st.one_of(st.none(), st.integers(0, 3).map(lambda number: f"key-{number}"))
