"""Embeds texts with a model, and keeps what it ever embedded below .build/embeddings/."""

import hashlib

import numpy
from harness.places import BUILD, fail

# Texts that a model is given at once.
BATCH = 256
# What an embedder here has to agree with the vectors that were given: the cosine of the farthest pair, of so many texts. A
# model of 8-bit integers agrees to 0.999 and more; another model, another pooling or another prefix does not.
AGREEMENT, COMPARED = 0.95, 20


class Unavailable(Exception):
    """A model cannot be measured on a collection; says why."""


class Model:
    """An embedding model. What it gives are arrays of len(texts) × dimensions, each line of length 1.

    key: what the command line and the files call it. title: what the report does.
    """

    key, title, dimensions = "", "", 0

    @property
    def name(self):
        """Its full name; files of another one are not taken for its own."""
        return f"{self.title} ({self.dimensions} dimensions)"

    def meant_for(self, collection):
        """Whether it knows the language of a collection."""
        return True

    def collection(self, collection, say=lambda done: None):
        """The vectors of the documents and of the queries of a collection; say is told how many documents are done."""
        documents = self.encode([text for _, text in collection.documents], say)
        return documents, self.encode([text for _, text in collection.queries])

    def encode(self, texts, say=lambda done: None):
        """The vectors of texts, of queries where the model tells them from documents."""
        digest = hashlib.sha256("\0".join([self.name, *texts]).encode()).hexdigest()
        file = BUILD / "embeddings" / f"{self.key}-{digest[:32]}.npy"
        if file.exists():
            return numpy.load(file)
        parts = []
        for start in range(0, len(texts), BATCH):
            parts.append(self.run(texts[start : start + BATCH]))
            say(min(start + BATCH, len(texts)))
        vectors = unit(numpy.concatenate(parts))
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".part.npy")
        numpy.save(unfinished, vectors)
        unfinished.rename(file)
        return vectors

    def run(self, texts):
        """The vectors of a batch, of any length. It loads the model when it is first called: nothing else needs it."""
        raise NotImplementedError

    def run_documents(self, texts):
        """The same of documents, where the model tells them from queries."""
        return self.run(texts)


class GivenModel(Model):
    """One whose vectors of documents and queries are read from FOLDER/TITLE/COLLECTION.npz: here they would take an hour.

    What is made at run time is embedded here, once the model has been seen to give the vectors of the queries.
    """

    def __init__(self, folder):
        self.folder = folder / self.title

    def collection(self, collection, say=lambda done: None):
        """The vectors that were given; raises Unavailable where there are none of this collection."""
        file = self.folder / f"{collection.name}.npz"
        if not file.exists():
            raise Unavailable(f"no vectors {file.parent.name}/{file.name} beside the collections")
        with numpy.load(file) as given:
            documents, queries = unit(given["documents"]), unit(given["queries"])
        for vectors, texts, what in ((documents, collection.documents, "documents"), (queries, collection.queries, "queries")):
            if vectors.shape != (len(texts), self.dimensions):
                raise Unavailable(f"{file.parent.name}/{file.name} has {len(vectors):,} vectors of {len(texts):,} {what}")
        self._compare(collection, queries)
        return documents, queries

    def _compare(self, collection, queries):
        own = self.encode([text for _, text in collection.queries[:COMPARED]])
        agreement = float((own * queries[:COMPARED]).sum(axis=1).min())
        if agreement < AGREEMENT:
            fail(
                f"{self.title} as it is run here and the vectors given for {collection.name} are not of one model: the cosine of "
                f"two vectors of the same query is {agreement:.3f}, and has to be {AGREEMENT} at least."
            )


def unit(vectors):
    """The same at length 1, as float32."""
    vectors = numpy.asarray(vectors, dtype=numpy.float32)
    return vectors / numpy.maximum(numpy.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
