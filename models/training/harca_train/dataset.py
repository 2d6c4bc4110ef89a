"""Everything that a run learns from and is measured on; the step `prepare` makes it."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from harca_train import augment, corpus, fragments
from harca_train.corpus import Query, plain
from harca_train.errors import TrainingError
from harca_train.synthetic import synthetic


class Dataset:
    """Texts by row number, and what each stands for.

    `labelled[i]` is seen in training as the rows `views[i]`, the first of them as written, and measured as written and
    as row `plain_rows[i]`. `made[i]` is row `made_rows[i]`. `pool[i]`, which nobody has labelled, is the rows
    `pool_rows[:, i]` as written and plain. `features` holds the feature ids of every row, once somebody has set it.
    """

    def __init__(self, labels, labelled, variants, made, pool):
        """`variants[i]` are rewordings of `labelled[i]` as (text, weight), the text as written first."""
        self.labels, self.labelled, self.made, self.pool = labels, labelled, made, pool
        self.variants = variants
        self.texts, self.views = [], []
        for texts in variants:
            self.views.append(self._add([text for text, _ in texts]))
        self.view_weights = [[weight for _, weight in texts] for texts in variants]
        self.plain_rows = np.array(self._add([plain(query.text) for query in labelled]))
        self.made_rows = np.array(self._add([query.text for query in made]), dtype=np.int64)
        written = self._add([query.text for query in pool])
        self.pool_rows = np.array([written, self._add([plain(query.text) for query in pool])], dtype=np.int64)
        self.plain_texts = [plain(query.text) for query in labelled]
        self.features = None

    def _add(self, texts):
        self.texts += texts
        return list(range(len(self.texts) - len(texts), len(self.texts)))

    @property
    def truth(self):
        """Label index of every labelled query, int64."""
        return np.array([self.labels.index(query.label) for query in self.labelled])

    def one_hot(self, queries):
        """Certain probabilities of the labels of `queries`, float32 [queries, labels]."""
        return np.eye(len(self.labels), dtype=np.float32)[[self.labels.index(query.label) for query in queries]]

    def save(self, folder):
        """Writes the dataset to `folder`."""
        parts = {name: [asdict(query) for query in getattr(self, name)] for name in ("labelled", "made", "pool")}
        parts |= {"labels": self.labels, "variants": self.variants}
        (folder / "dataset.json").write_text(json.dumps(parts, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder):
        """Reads what `save` wrote."""
        found = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        labelled, made, pool = ([Query(**query) for query in found[name]] for name in ("labelled", "made", "pool"))
        return cls(found["labels"], labelled, found["variants"], made, pool)


def prepare(settings, root, log):
    """Reads, cleans, de-duplicates, rewords, makes up and cuts out; paths in the settings are relative to `root`."""
    data = settings["data"]
    if not data["labelled"]:
        raise TrainingError("name the labelled queries: --labelled FILE, or data.labelled in the settings")
    labelled, counts = corpus.read_labelled(Path(root, data["labelled"]))
    log("labelled: " + ", ".join(f"{number} {name}" for name, number in counts.items()))
    labels = settings["labels"] or corpus.labels_of(labelled)
    unknown = {query.label for query in labelled} - set(labels)
    if unknown:
        raise TrainingError(f"the settings do not list the labels {', '.join(sorted(unknown))}")
    if not 2 <= len(labels) <= 8:
        raise TrainingError(f"{len(labels)} labels: a model has 2 to 8")
    seed = settings["seed"]
    pool = []
    if data["unlabelled"]:
        known = {plain(query.text) for query in labelled}
        pool += corpus.read_unlabelled(Path(root, data["unlabelled"]), known, data["per_source"])
        log(f"unlabelled: {len(pool)} queries")
    shippable = [query for query in labelled if query.use == "train"]
    cuts = fragments.of_queries(pool + shippable, data["cuts"], seed) if pool else []
    for texts in data["texts"]:
        cuts += fragments.of_collection(Path(root, texts["path"]), texts["group"], texts["count"], seed)
    taken = {plain(query.text) for query in labelled + pool}
    for query in cuts:
        key = plain(query.text)
        if key not in taken:
            taken.add(key)
            pool.append(query)
    log(f"with sentences and phrases cut out of texts: {len(pool)}")
    made = synthetic(settings["synthetic"], seed) if settings["synthetic"] else []
    stray = {query.label for query in made} - set(labels)
    if stray:
        raise TrainingError(f"made-up queries have the labels {', '.join(sorted(stray))}, the data does not")
    variants = [[(one.text, one.weight) for one in augment.variants(query, seed)] for query in labelled]
    dataset = Dataset(labels, labelled, variants, made, pool)
    log(f"{len(made)} made-up queries; {len(dataset.texts)} texts in all")
    return dataset
