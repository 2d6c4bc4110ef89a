"""The stages of a model on its way into the database, measured side by side in one run: size, latency, throughput,
accuracy. Features are ready made, so that every stage does the same work but for the network."""

import time

import numpy as np
import torch

from harca_train import evaluate, quantize, student, teacher
from harca_train.pretrained import Pretrained


def stages(pipeline, choice):
    """Rows of the stage table: name → bytes, p50, p95 (µs for a query alone), rate (queries/s), accuracy, macro_f1."""
    dataset = pipeline.dataset
    held = evaluate.HeldOut(pipeline)
    labels = evaluate.scored(pipeline.settings, dataset)
    some = evaluate.timed(dataset)
    features = pipeline.encoded.features.take([dataset.views[i][0] for i in some])
    whole = pipeline.whole()

    def quality(found):
        measured = evaluate.figures(held.truth[held.measured], found[0][held.measured].argmax(axis=1), labels)
        return {name: measured[name] for name in ("accuracy", "macro_f1")}

    parent = quality(held.logits[quantize.PARENT])
    table = {}
    if pipeline.settings["teacher"]["models"]:
        texts = [dataset.labelled[i].text for i in some[::10]]
        pretrained = Pretrained(pipeline.settings["teacher"]["frozen_layers"])
        table["teacher, PyTorch"] = teacher_latency(pretrained, len(dataset.labels), texts) | quality(held.teacher)
    model = pipeline.model("distill", whole)
    # The state as PyTorch would save it; the parent of all that follows.
    size = sum(parameter.numel() * 4 for parameter in model.parameters())
    table["student, PyTorch"] = {"bytes": size, **_python_latency(model, features)} | parent
    for name, form in (("ONNX", quantize.PARENT), ("pruned", "pruned"), ("quantized", choice["form"])):
        graph = pipeline.form(whole, form)
        measured = quantize.latency(graph, features)
        rate = round(1e6 / measured["p50"])
        row = {"bytes": len(graph), "p50": measured["p50"], "p95": measured["p95"], "rate": rate}
        table[name] = row | quality(held.logits[form])
    table["batched by 64"] = table["quantized"] | {
        "p50": round(1e6 / measured["batched_rate"], 2),
        "p95": round(1e6 / measured["batched_rate"], 2),
        "rate": measured["batched_rate"],
    }
    return table


def _python_latency(model, features):
    singles = [features.take([i]) for i in range(len(features))]
    times = []
    torch.set_num_threads(1)
    for one in singles:
        begin = time.perf_counter_ns()
        student.logits_of(model, one)
        times.append((time.perf_counter_ns() - begin) / 1000)
    torch.set_num_threads(2)
    return _summary(times)


def teacher_latency(pretrained, labels, texts):
    """Bytes of a fine-tuned encoder, p50 and p95 (µs for each of `texts` alone) and rate of it in PyTorch."""
    model = teacher.Teacher(pretrained, labels, 0.0).eval()
    times = []
    torch.set_num_threads(1)
    for text in texts:
        begin = time.perf_counter_ns()
        teacher.logits_of(model, pretrained.states([text]), [0], "latency")
        times.append((time.perf_counter_ns() - begin) / 1000)
    torch.set_num_threads(2)
    weights = [*pretrained.lower.parameters(), *model.parameters()]
    size = 4 * (pretrained.words.numel() + sum(parameter.numel() for parameter in weights))
    return {"bytes": size} | _summary(times)


def _summary(times):
    p50, p95 = np.percentile(times, [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2), "rate": round(1e6 / float(p50))}
