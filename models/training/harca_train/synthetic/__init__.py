"""Made-up queries of the kinds that real collections lack, labelled by the pattern they come from.

Each generator draws from data files in `data/`; a query's label follows from its pattern alone, never from its words.
"""

import random

from harca_train.corpus import Query, plain
from harca_train.synthetic import english, japanese, noise, other

SOURCE = "synthetic"


def _english(chance):
    return *english.query(chance), "en"


def _japanese(chance):
    return *japanese.query(chance), "ja"


def _noise(chance):
    return noise.query(chance), "unknown", "und"


GENERATORS = {"en": _english, "ja": _japanese, "other": other.query, "noise": _noise}
# A generator that repeats itself this often in a row has nothing new to say.
REPEATS = 1000


def synthetic(counts, seed):
    """Made-up queries, each of weight 1, no two equal but for case and final punctuation.

    `counts` maps generators (the keys of GENERATORS) to how many queries to make; one that is not named makes none. A
    generator's queries depend on `seed` and its own name alone: a larger count begins with the smaller one's queries
    unless another generator made the same text. Raises ValueError for an unknown generator or too large a count.
    """
    unknown = set(counts) - set(GENERATORS)
    if unknown:
        raise ValueError(f"no generator {', '.join(sorted(unknown))}: there are {', '.join(GENERATORS)}")
    made, seen = [], set()
    for name, count in counts.items():
        chance = random.Random(f"{seed}:{name}")
        for _ in range(count):
            made.append(_new(name, chance, seen))
    return made


def _new(name, chance, seen):
    for _ in range(REPEATS):
        text, label, language = GENERATORS[name](chance)
        text = text.strip()
        key = plain(text)
        if text and key not in seen:
            seen.add(key)
            return Query(text, label, language, SOURCE)
    raise ValueError(f"generator {name} has no more than {len(seen)} different queries")
