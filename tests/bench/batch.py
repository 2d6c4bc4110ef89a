"""Many new queries in one call beside as many single ones, in one scan and in a statement each."""

from .clock import interleaved, medians
from .servers import connect, inferences, load

SINGLE = "SELECT count(query_type(q)) FROM bench.{0}"
BATCH = "SELECT count(query_type) FROM classify_queries((SELECT array_agg(q ORDER BY i) FROM bench.{0}))"
ANSWERS = "SELECT query_type FROM classify_queries((SELECT array_agg(q ORDER BY i) FROM bench.{0})) ORDER BY ordinality"
STATEMENT = "SELECT query_type({0})"
ARRAY = "SELECT query_type FROM classify_queries({0}) ORDER BY ordinality"


def measure(bench):
    """Fills in the requirements on batches."""
    size = bench.sizes
    server = bench.servers.preloaded()
    runtime = ", ONNX Runtime"
    sessions = {"": connect(server), runtime: connect(server, executor="onnxruntime")}
    if "batch_size" in bench.features.settings:
        sessions |= {f", batch_size {n}": connect(server, batch_size=n) for n in (1, 16, 64, 256)}
    for session in sessions.values():
        session.query("SELECT query_type('the model is loaded')")

    def timed(session, sql):
        """New queries each time: nothing may know them."""

        def run():
            texts = bench.queries.take(size.batch)
            load(server, "batch", "i integer, q text NOT NULL", enumerate(texts))
            session.query("SELECT count(bench.empty(q)) FROM bench.batch")
            before = inferences(session)
            seconds, ((answered,),) = session.time(sql.format("batch"))
            bench.check("queries of a batch", (int(answered), inferences(session) - before), (len(texts), len(texts)))
            labels = bench.loop.labels(texts)
            bench.check("labels of a batch", [row[0] for row in session.query(ANSWERS.format("batch"))], labels)
            return seconds

        return run

    def sent(statements):
        """The queries as an application sends them, from texts to the answers in its hands."""
        session = sessions[""]

        def run():
            texts = bench.queries.take(size.batch)
            commands = statements(texts)
            before = inferences(session)
            answers = [session.time(sql) for sql in commands]
            bench.check("queries that were sent", inferences(session) - before, len(texts))
            labels = [label for _, rows in answers for (label,) in rows]
            bench.check("labels of queries that were sent", labels, bench.loop.labels(texts))
            return sum(seconds for seconds, _ in answers)

        return run

    variants = {f"single calls{name}": timed(sessions[name], SINGLE) for name in ("", runtime)}
    variants |= {f"classify_queries{name}": timed(session, BATCH) for name, session in sessions.items()}
    variants["query_type, a statement each"] = sent(lambda texts: [STATEMENT.format(literal(text)) for text in texts])
    variants["classify_queries, one statement"] = sent(lambda texts: [ARRAY.format(array(texts))])
    seconds = interleaved(size.rounds, variants)
    typical = medians(seconds)
    for key, name in (("batch", ""), ("batch_runtime", runtime)):
        bench.report.measured(key, typical[f"classify_queries{name}"] / typical[f"single calls{name}"])
    bench.report.measured(
        "batch_statement", typical["classify_queries, one statement"] / typical["query_type, a statement each"]
    )
    bench.costs["classify_queries, miss"] = 1e6 * typical["classify_queries"] / size.batch
    bench.report.timings(
        f"Batches of {size.batch:,} new queries", seconds, dict.fromkeys(seconds, size.batch),
        "Single calls are `query_type()` in one scan; `classify_queries` makes all columns, and its time includes `array_agg`. "
        "The last two come from a client, the texts as literals, and count until it has the answers.",
    )  # fmt: skip
    for session in sessions.values():
        session.close()


def literal(text):
    """A text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def array(texts):
    """Texts as a literal of an array."""
    elements = ('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts)
    return literal("{" + ",".join(elements) + "}") + "::text[]"
