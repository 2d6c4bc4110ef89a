"""Queries from patterns: fills the slots of a pattern with words, and remembers what label its kind has."""

import re
import tomllib
from functools import cache
from importlib import resources

SLOT = re.compile(r"\{([a-z_]+)\}|<([^<>{}]*(?:\{[a-z_]+\}[^<>{}]*)*)>")
SPACES = re.compile(" +")
# More draws than this for one slot mean that its list holds no word that the query does not have yet.
DRAWS = 20


@cache
def _text(name):
    return resources.files("harca_train.synthetic").joinpath("data", name).read_text(encoding="utf-8")


def lines(name):
    """Lines of the data file `name` without comments (`# ` at the start) and empty ones."""
    return tuple(line for line in _text(name).splitlines() if line and not line.startswith("# "))


def tables(name):
    """The TOML data file `name` as dictionaries."""
    return tomllib.loads(_text(name))


def items(text):
    """Words of a comma-separated list that may run over several lines."""
    return tuple(word.strip() for word in text.replace("\n", " ").split(",") if word.strip())


def without(facets, intents):
    """The words of `facets` that state no intent: a list of three terms that holds one of `intents` is hybrid."""
    return tuple(facet for facet in facets if not any(intent in facet or facet in intent for intent in intents))


class Grammar:
    """Kinds of queries, and the words and phrases their patterns name.

    `common` maps a slot to its words; `domains` is a list of such maps, of which a query takes one, so that its words
    belong together; `phrases` maps a slot to patterns; `kinds` are dictionaries with name, label, share and patterns.
    """

    def __init__(self, common, domains, phrases, kinds):
        self.common, self.domains, self.phrases, self.kinds = common, domains, phrases, kinds
        self.shares = [kind["share"] for kind in kinds]

    def draw(self, chance):
        """One query by the random generator `chance`: its text and its kind."""
        kind = chance.choices(self.kinds, self.shares)[0]
        return self.fill(chance.choice(kind["patterns"]), chance), kind

    def fill(self, pattern, chance, domain=None):
        """`pattern` with every slot and choice filled; no word comes twice, as far as its list allows."""
        if domain is None:
            domain = chance.choice(self.domains)
        return SPACES.sub(" ", self._expand(pattern, domain, set(), chance)).strip()

    def _expand(self, pattern, domain, used, chance):
        def replacement(match):
            slot, choices = match.groups()
            if slot is None:
                return self._expand(chance.choice(choices.split("|")), domain, used, chance)
            if slot in self.phrases:
                return self._expand(chance.choice(self.phrases[slot]), domain, used, chance)
            words = domain.get(slot) or self.common[slot]
            for _ in range(DRAWS):
                word = chance.choice(words)
                if word not in used:
                    break
            used.add(word)
            return word

        return SLOT.sub(replacement, pattern)
