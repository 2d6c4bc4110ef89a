"""The step `export`: the chosen form with its temperature becomes a model folder."""

from harca_train import evaluate, quantize
from harca_train.manifest import write_model
from harca_train.workspace import read_json, write_json


def export(pipeline, folder):
    """Chooses the form, fits the temperature, writes the model folder `pipeline.out`; keeps the choice in `folder`."""
    settings, dataset = pipeline.settings, pipeline.dataset
    if not (folder / "choice.json").exists():
        table = evaluate.sweep(pipeline)
        print_table(table)
        form = quantize.choose(table, settings["quantize"])
        temperature = evaluate.HeldOut(pipeline).temperature(form)
        write_json(folder / "choice.json", {"form": form, "temperature": temperature, "forms": table})
    choice = read_json(folder / "choice.json")
    whole = pipeline.whole()
    row = choice["forms"][choice["form"]]
    write_model(
        pipeline.out,
        pipeline.form(whole, choice["form"]),
        name=settings["name"],
        version=settings["version"],
        labels=dataset.labels,
        encoder=settings["encoder"],
        temperature=choice["temperature"],
        golden=[tuple(pair) for pair in settings["golden"]],
        metrics={"held_out_sources": {key: row[key] for key in ("queries", "macro_f1", "accuracy")}},
        training={
            "form": choice["form"],
            "labelled": len(whole.trained),
            "unlabelled": len(whole.pool),
            "made_up": len(whole.made),
            "seed": settings["seed"],
        },
        ort=settings["ort"],
    )
    pipeline.workspace.log(f"wrote {pipeline.out}: {choice['form']}, {row['bytes']:,} bytes")


def print_table(table):
    """Prints the sweep."""
    print(f"{'form':14} {'bytes':>9} {'p50 µs':>7} {'p95 µs':>7} {'batched/s':>10} {'accuracy':>8} {'macro-F1':>8}")
    for name, row in table.items():
        print(
            f"{name:14} {row['bytes']:9,} {row['p50']:7.1f} {row['p95']:7.1f} {row['batched_rate']:10,} "
            f"{row['accuracy']:8.4f} {row['macro_f1']:8.4f}"
        )
