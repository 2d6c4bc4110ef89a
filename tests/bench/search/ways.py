"""The ways to search, as statements: hybrid_search, what people write by hand for the same legs, and pg_textsearch.

A way of both legs takes a text and an embedding, a way of the words a text alone. All give a page of PAGE rows but where
they say so. Ways that are compared answer with the same columns, as the client's reading is part of the time: id and
score for both legs, the id for words alone.
"""

import re

from ..batch import literal
from .table import PEER, PEER_INDEX, TARGET

PAGE, CANDIDATES = 10, 100

HYBRID, HAND = "hybrid_search", "hand-written"
PREPARED = ", prepared"
STRATEGIES = ["parallel", "vector_only"]
WORDS, WORDS_HAND = "words: hybrid_search", "words: hand-written"
WORDS_PEER, WORDS_PEER_MANY = f"words: {PEER}", f"words: {PEER}, {CANDIDATES} rows"
WORDS_ON_PEER = f"words: hybrid_search on {PEER}"

# Written with care: each leg sorts no more than its rows, and an embedding is read once.
RECIPE = f"""
WITH keyword AS (
    SELECT id, row_number() OVER (ORDER BY rank DESC) AS place
    FROM (SELECT id, ts_rank_cd(tsv, q) AS rank FROM bench.document, to_tsquery('harca', {{words}}) AS q
          WHERE tsv @@ q ORDER BY rank DESC LIMIT {CANDIDATES}) AS best
), vector AS (
    SELECT id, row_number() OVER (ORDER BY distance) AS place
    FROM (SELECT id, embedding <=> {{embedding}} AS distance FROM bench.document
          ORDER BY distance LIMIT {CANDIDATES}) AS nearest
)
SELECT id, coalesce(1.0 / (60 + keyword.place), 0) + coalesce(1.0 / (60 + vector.place), 0) AS score
FROM keyword FULL JOIN vector USING (id)
ORDER BY score DESC
LIMIT {PAGE}
"""
WORDS_RECIPE = f"""
SELECT id FROM bench.document, to_tsquery('harca', {{words}}) AS q
WHERE tsv @@ q ORDER BY ts_rank_cd(tsv, q) DESC LIMIT {PAGE}
"""
PEER_SEARCH = f"""
SELECT id FROM bench.document ORDER BY content <@> to_bm25query({{text}}, 'bench.{PEER_INDEX}') LIMIT {{rows}}
"""
# Where the table has both indexes, a search for which nothing is said runs its keyword leg on that of pg_textsearch.
GIN, BM25 = "options => '{" + '"keyword_index": "gin"' + "}'", "options => NULL"
# The same table under another name.
REGISTER_FIXED = "SELECT harca.register_search_target('{fixed}', 'bench.document', calibration => 'off')"
PREPARE = f"""
PREPARE hybrid_search (text, vector) AS SELECT id, score FROM hybrid_search('{TARGET}', $1, $2, {GIN});
PREPARE hand_written (text, vector) AS {RECIPE.format(words="$1", embedding="$2")};
"""
STRATEGY = f"""
SELECT id, score FROM hybrid_search('{TARGET}', {{text}}, {{embedding}},
    options => '{{{{"keyword_index": "gin", "strategy": "{{strategy}}"}}}}')
"""
EXACT = f"SELECT id FROM bench.document ORDER BY embedding <=> {{embedding}} LIMIT {PAGE}"


def by_both(text, embedding):
    """way → statement of both legs, for a session that has run PREPARE."""
    text, words = literal(text), _any_of(text)
    return {
        HYBRID: f"SELECT id, score FROM hybrid_search('{TARGET}', {text}, {embedding}, {GIN})",
        HYBRID + PREPARED: f"EXECUTE hybrid_search({text}, {embedding})",
        HAND: RECIPE.format(words=words, embedding=embedding),
        HAND + PREPARED: f"EXECUTE hand_written({words}, {embedding})",
    } | {
        strategy: STRATEGY.format(text=text, embedding=embedding, strategy=strategy)
        for strategy in STRATEGIES
    }  # fmt: skip


def by_words(text, peer, on_peer):
    """way → statement of the words alone: of pg_textsearch if peer, of hybrid_search on its index if on_peer."""
    quoted = literal(text)
    ways = {
        WORDS: f"SELECT id FROM hybrid_search('{TARGET}', {quoted}, {GIN})",
        WORDS_HAND: WORDS_RECIPE.format(words=_any_of(text)),
    }
    if peer:
        ways[WORDS_PEER] = PEER_SEARCH.format(text=quoted, rows=PAGE)
        ways[WORDS_PEER_MANY] = PEER_SEARCH.format(text=quoted, rows=CANDIDATES)
    if on_peer:
        ways[WORDS_ON_PEER] = f"SELECT id FROM hybrid_search('{TARGET}', {quoted})"
    return ways


def explained(text, embedding):
    """The statement that tells how hybrid_search goes about a search."""
    return f"SELECT hybrid_search_explain('{TARGET}', {literal(text)}, {embedding}, {GIN})"


def keyword_indexes(session, options, text):
    """The indexes that hybrid_search uses for the words of a search, with GIN or BM25."""
    told = f"hybrid_search_explain('{TARGET}', {literal(text)}, {options})"
    return {name for (name,) in session.query(f"SELECT jsonb_array_elements_text({told} #> '{{legs,keyword,indexes}}')")}


def page(session, sql):
    """The ids that a statement gives, in order."""
    return [int(id_) for id_, *_ in session.query(sql)]


def _any_of(text):
    """What to_tsquery takes for any of the words of a text, as a literal."""
    return literal(" | ".join(re.findall(r"[\w-]+", text)))
