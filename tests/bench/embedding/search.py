"""A search by text of the largest embedded table beside its two halves: the embedding of the query, and the same search with it."""

import statistics

from ..batch import literal
from ..clock import interleaved, late, medians
from ..search.corpus import Corpus
from ..search.table import TARGET, Table
from ..servers import DATABASE, connect

TEXT, EMBED, GIVEN = "a search by text", "the embedding of its query", "the search with that embedding"
WARM_UP = 5


def measure(bench, server, model):
    """Fills in the requirement on searches by text; no cache of the server has their embeddings."""
    rows = min(bench.sizes.embedded, max(bench.sizes.tables))
    table = Table(bench, server, Corpus(rows, bench.sizes.searches), True, False)
    server.psql(
        f"SELECT harca.register_search_target('{TARGET}', 'bench.document', embedding_model => {literal(model.name)}, replace => true)", DATABASE
    )
    facts = table.corpus.facts[:: max(1, len(table.corpus.facts) // bench.sizes.embedding_searches)]
    waiting, unlike = iter(facts[:WARM_UP] + facts), []
    with connect(server) as session:
        text = vector = None

        def renew():
            nonlocal text, vector
            text = literal(next(waiting).text)
            vector = session.value(f"SELECT harca.embed({text}, {literal(model.name)})")
            # In one statement: the weight of the table moves with its searches, and may do so between two of them.
            ids = f"SELECT string_agg(id, ' ' ORDER BY score DESC, id) FROM hybrid_search('{TARGET}', {text}"
            if session.value(f"SELECT ({ids})) = ({ids}, '{vector}'))") != "t":
                unlike.append(text)

        ways = {
            TEXT: lambda: session.time(f"SELECT count(*) FROM hybrid_search('{TARGET}', {text})")[0],
            EMBED: lambda: session.time(f"SELECT vector_dims(harca.embed({text}, {literal(model.name)}))")[0],
            GIVEN: lambda: session.time(f"SELECT count(*) FROM hybrid_search('{TARGET}', {text}, '{vector}')")[0],
        }
        seconds = interleaved(WARM_UP + len(facts), ways, before=renew)
    bench.check("searches by text that do not find what those with the embedding find", unlike, [])
    seconds = {way: values[WARM_UP:] for way, values in seconds.items()}
    above = statistics.median(1000 * (a - b - c) for a, b, c in zip(*(seconds[way] for way in (TEXT, EMBED, GIVEN))))
    bench.report.measured("embedding_search", above)
    typical = medians(seconds)
    bench.report.table(
        "Embedding: a search by text", ["", "ms", "95 %"],
        [*([way, 1000 * typical[way], 1000 * late(values)] for way, values in seconds.items()), ["the first above the other two", above, None]],
        f"{rows:,} rows, {len(facts)} queries by {model.title}, each by all three ways in turns, after it was asked once.",
    )  # fmt: skip
