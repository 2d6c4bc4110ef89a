#!/usr/bin/env python3
"""The evaluation runs on a made-up collection with made-up vectors and writes its report; what it cannot measure it names.

It needs NumPy and matplotlib: those of scripts/setup_eval.sh, where that has run.
"""

import hashlib
import importlib.util
import io
import json
import os
import random
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, ok, skip  # noqa: E402
from harness.places import BUILD  # noqa: E402

server = Server.attach()
if server.major != 18:
    skip("the evaluation", "one server is enough, and 18 comes with every checkout")
    done()
if not all(map(importlib.util.find_spec, ("numpy", "matplotlib"))):
    python = BUILD / "eval-venv/bin/python"
    if not python.exists() or Path(sys.prefix).resolve() == (BUILD / "eval-venv").resolve():
        skip("the evaluation", "there is no NumPy and matplotlib; scripts/setup_eval.sh fetches them")
        done()
    os.execv(python, [python, __file__])

import numpy  # noqa: E402
from eval import command, embedding, exact_terms  # noqa: E402
from eval.collection import read  # noqa: E402

WORDS = [f"{a}{b}{c}" for a in ("ba", "ko", "li", "mu", "re") for b in ("da", "fe", "go", "nu") for c in ("s", "t", "n", "r")]
DOCUMENTS, QUERIES = 500, 12


def vectors(texts, dimensions):
    """Sums of a vector for each word."""
    seeds = lambda text: [int(hashlib.sha256(word.encode()).hexdigest()[:8], 16) for word in text.split()]  # noqa: E731
    return numpy.array([sum(numpy.random.default_rng(seed).normal(size=dimensions) for seed in seeds(text)) for text in texts])


class Given(embedding.GivenModel):
    """Its vectors are read, and what is made at run time is embedded in the same way."""

    key, title, dimensions = "e5", "given", 16

    def run(self, texts):
        """As the files were made."""
        return vectors(texts, self.dimensions)


class Absent(Given):
    """Has no files."""

    key, title = "minilm", "absent"


class Other(Given):
    """Embeds in another way than its files were made, and takes nothing that was kept."""

    name = "another"

    def run(self, texts):
        """Of other words."""
        return vectors([text.upper() for text in texts], self.dimensions)


class Own(embedding.Model):
    """Embeds everything, with other dimensions."""

    key, title, dimensions = "use", "own", 24

    def run(self, texts):
        """As it likes."""
        return vectors(texts, self.dimensions)


def write_collection(folder):
    """A collection whose queries are words of a document each, and a word in each document that no other has."""
    draw = random.Random(11)
    documents = [" ".join(draw.sample(WORDS[:60], 8) + draw.sample(WORDS[60:], 1) + [f"code{place}"]) for place in range(DOCUMENTS)]
    queries = [(place, " ".join(draw.sample(documents[place].split()[:9], 3))) for place in draw.sample(range(DOCUMENTS), QUERIES)]
    folder.mkdir(parents=True)
    lines = lambda rows: "".join(json.dumps(row) + "\n" for row in rows)  # noqa: E731
    (folder / "corpus.jsonl").write_text(lines({"_id": f"d{i}", "title": "", "text": text} for i, text in enumerate(documents)), encoding="utf-8")
    (folder / "queries.jsonl").write_text(lines({"_id": f"q{i}", "text": text} for i, (_, text) in enumerate(queries)), encoding="utf-8")
    judgements = "".join(f"q{i}\td{place}\t1\n" for i, (place, _) in enumerate(queries))
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + judgements, encoding="utf-8")


def run(models, folder):
    """The exit code of the command, or the text that it ends with, and what it prints."""
    command.models, sys.argv = models, ["run", "--data", str(folder / "ir"), "--pg-config", server.pg_config, "--out", str(folder / "out")]
    printed = io.StringIO()
    with redirect_stdout(printed):
        try:
            code = command.main()
        except SystemExit as end:
            code = end.code
    return code, printed.getvalue()


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    embedding.BUILD, exact_terms.QUERIES = folder, 30
    write_collection(folder / "ir/made_up")
    made_up = read(folder / "ir/made_up")
    (folder / "embeddings/given").mkdir(parents=True)
    given = {what: vectors([text for _, text in getattr(made_up, what)], 16).astype(numpy.float16) for what in ("documents", "queries")}
    numpy.savez(folder / "embeddings/given/made_up.npz", **given)

    code, printed = run(lambda place: [Given(place), Absent(place), Own()], folder)
    is_(code, 0, "a run over what there is")
    data = json.loads((folder / "out/search_quality.json").read_text(encoding="utf-8"))
    page = (folder / "out/SEARCH_QUALITY.md").read_text(encoding="utf-8")
    is_(list(data["models"]), ["e5", "use"], "measures the models that have vectors")
    is_(list(data["not available"]), ["absent"], "and names the one that has none")
    ok("absent: not available: no vectors absent/made_up.npz" in page, "with the reason, on the page as well")
    natural = {key: model["collections"]["made_up"]["natural"]["ways"] for key, model in data["models"].items()}
    is_(len({each["BM25"]["ndcg@10"] for each in natural.values()}), 1, "the keyword leg is the same with each")
    ok(len({each["dense"]["ndcg@10"] for each in natural.values()}) == 2, "the vector leg is not")
    ok(all(each["auto"]["ndcg@10"] > 0.5 for each in natural.values()), "and both find most of what was made to be found")
    exact = [model["collections"]["made_up"]["exact"]["ways"]["BM25"]["ndcg@10"] for model in data["models"].values()]
    ok(min(exact) > 0.9, "words find what one document has")
    ok(all(f"| {each['model']} | {each['what']} |" in page for each in data["requirements"]), "the page has a line for every requirement")
    ok(not any("mean of" in each["what"] for each in data["requirements"]), "but for the means of other collections")
    ok(all(f"## {title}\n" in page for title in ("given", "own")), "and a section for each model")
    is_(len(list((folder / "embeddings").glob("use-*.npy"))), 3, "what was embedded is kept")

    code, printed = run(lambda place: [Other(place)], folder)
    ok("not of one model" in str(code), "a model that does not give the vectors that were read ends the run")
done()
