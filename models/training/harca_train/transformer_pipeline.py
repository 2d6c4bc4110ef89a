"""The steps to a transformer, each over all folds and the whole."""

import numpy as np

from harca_train import evaluate, quantize, report, stages, teach, teacher, transformer, transformer_folder
from harca_train.errors import TrainingError
from harca_train.pipeline import Pipeline, save_arrays
from harca_train.pretrained import MAX_TOKENS, Pretrained, States
from harca_train.tokens import Tokens
from harca_train.workspace import read_json, write_json

# The network as it was fine-tuned, and the graph that is made of it.
NETWORK, GRAPH = "PyTorch", "ONNX"


class TransformerPipeline(Pipeline):
    """Fine-tuning, export, and what measures them."""

    def __init__(self, workspace, out):
        super().__init__(workspace, out)
        self._pretrained = None

    @property
    def pretrained(self):
        """The encoder before fine-tuning."""
        if self._pretrained is None:
            self._pretrained = Pretrained(self.settings["teacher"]["frozen_layers"])
        return self._pretrained

    def finetune(self, folder):
        """Fine-tunes the encoder and keeps its logits of the held-out queries."""
        missing = self._missing(folder)
        if not missing:
            return
        # Texts that nobody has labelled come last, and nobody says what they are.
        read = len(self.dataset.texts) - 2 * len(self.dataset.pool)
        kept = folder / "states.npz"
        states = States.load(kept) if kept.exists() else self.pretrained.states(self.dataset.texts[:read])
        if not kept.exists():
            states.save(kept)
        self.workspace.log(f"lower layers done for {len(states)} texts")
        for fold in missing:
            model = teach.fine_tune(self.settings, self.dataset, fold, self.pretrained, states, fold.name)
            if len(fold.held):
                found = [teacher.logits_of(model, states, rows, fold.name) for rows in self._held_rows(fold)]
                save_arrays(self._file(folder, fold, "npz"), {NETWORK: found})
                self._say(fold, "network", found[0].argmax(axis=1))
            self._keep(folder, fold, model)
        kept.unlink()

    def export(self, folder):
        """Makes the graphs, compares them with the networks, fits the temperature, writes the model folder."""
        for fold in self.folds():
            target = self._file(folder, fold, "npz")
            if len(fold.held) and not target.exists():
                graph = self._graph(fold)
                found = [quantize.logits_of(graph, self._tokens(rows)) for rows in self._held_rows(fold)]
                save_arrays(target, {GRAPH: found})
                self._say(fold, "graph", found[0].argmax(axis=1))
        if not (folder / "choice.json").exists():
            write_json(folder / "choice.json", self._choice(self._graph(self.whole())))
        choice = read_json(folder / "choice.json")
        settings, whole = self.settings, self.whole()
        options = settings["student"]["transformer"]
        if choice["fidelity"]["agreement"] < options["min_agreement"]:
            raise TrainingError(
                f"the graph labels {choice['fidelity']['agreement']:.3%} of the held-out queries as the network does, "
                f"less than student.transformer.min_agreement"
            )
        row, pretrained = choice["forms"][GRAPH], self.pretrained
        transformer_folder.write_model(
            self.out,
            self._graph(whole),
            pretrained.tokenizer.to_str().encode(),
            name=settings["name"],
            version=settings["version"],
            labels=self.dataset.labels,
            max_tokens=MAX_TOKENS,
            padding_id=pretrained.e5.padding,
            temperature=choice["temperature"],
            golden=[tuple(pair) for pair in settings["golden"]],
            metrics={
                "held_out_sources": {key: row[key] for key in ("queries", "macro_f1", "accuracy")},
                "fidelity": choice["fidelity"],
            },
            training={
                "base": "multilingual-e5-small",
                "tuned_layers": len(pretrained.upper()),
                "tuned_bits": options["bits"],
                "labelled": len(whole.trained),
                "made_up": len(whole.made),
                "seed": settings["seed"],
            },
        )
        self.workspace.log(f"wrote {self.out}: {row['bytes']:,} bytes, {choice['fidelity']}")

    def report(self, folder):
        """Writes the card and the plots into the model folder."""
        report.of_transformer(self)

    def teacher_of(self, fold):
        """None: a transformer learns from labels alone."""

    def logits(self, fold):
        """Logits of the held-out queries of `fold` by network and graph: form → [2, labelled, labels], the rest NaN.

        The first of the two is the text as written, the second in lower case without final punctuation.
        """
        found = {}
        for step in ("finetune", "export"):
            for form, values in np.load(self._existing(step, fold, "npz")).items():
                found[form] = np.full((2, len(self.dataset.labelled), values.shape[2]), np.nan)
                found[form][:, fold.held] = values
        return found

    def _held_rows(self, fold):
        dataset = self.dataset
        return np.array([dataset.views[i][0] for i in fold.held]), dataset.plain_rows[fold.held]

    def _tokens(self, rows):
        return Tokens(self.pretrained.tokens([self.dataset.texts[row] for row in rows]))

    def _graph(self, fold):
        model = transformer.load(self._existing("finetune", fold, "pt"), self.pretrained)
        bits = self.settings["student"]["transformer"]["bits"]
        return transformer.onnx_model(model, self.pretrained, bits, self.settings["name"])

    def _choice(self, graph):
        """Temperature, fidelity and forms of the run, with `graph`, that of the whole, timed."""
        held = evaluate.HeldOut(self)
        labels = evaluate.scored(self.settings, self.dataset)
        some = evaluate.timed(self.dataset)[::10]
        texts = [self.dataset.labelled[i].text for i in some]
        tokens = self._tokens([self.dataset.views[i][0] for i in some])
        measured = {
            NETWORK: stages.teacher_latency(self.pretrained, len(self.dataset.labels), texts),
            GRAPH: {"bytes": len(graph), **quantize.latency(graph, tokens)}
            | {"batch_difference": quantize.batch_difference(graph, tokens)},
        }
        forms = {}
        for form, row in measured.items():
            answers = held.logits[form][0, held.measured].argmax(axis=1)
            forms[form] = row | evaluate.figures(held.truth[held.measured], answers, labels)
        network, graph = (np.concatenate(held.logits[form][:, held.measured]) for form in (NETWORK, GRAPH))
        return {
            "form": GRAPH,
            "temperature": held.temperature(GRAPH),
            "fidelity": transformer.fidelity(network, graph),
            "forms": forms,
        }
