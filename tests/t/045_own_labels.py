#!/usr/bin/env python3
"""A model with labels of its own answers with them everywhere, and searches weigh them by the rows a DBA gives them."""

import hashlib
import json
import math
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PgError, Server, done, is_, like, ok, skip  # noqa: E402
from harness.onnx import affine  # noqa: E402

LABELS = ["lookup", "howto", "trouble", "chat"]
ROOT = Path(__file__).resolve().parents[2]
TRAINED = ROOT / "tests/data/four_labels"
EXAMPLES = ROOT / "models/training/examples/support_requests.tsv"  # what the trained model has learnt from

HELD_OUT = {
    "lookup": [
        "order 90317-B", "Norvik R9 antenna", "error E-2210", "ticket 41877", "invoice INV-55102", "Halma Air charging case",
        "注文番号 90317-B", "ノルビク R9 アンテナ", "エラーコード E-2210", "受付番号 41877", "請求書 INV-55102", "鈴木電機 契約内容",
    ],
    "howto": [
        "How do I change my phone number?", "how to connect the printer to a tablet", "Where can I find the user manual?",
        "Could you tell me how to renew my licence?", "how can i turn off the camera light", "Please explain how to restore a backup.",
        "電話番号を変更するにはどうすればいいですか？", "タブレットをプリンターに接続する方法を教えてください",
        "保証書はどこで確認できますか", "ライセンスを更新する手順をお教えください。", "カメラのライトを消すやり方は？", "バックアップから戻す方法が知りたいです",
    ],
    "trouble": [
        "The scanner does not start any more", "cannot print since this morning", "my order has not arrived",
        "the camera keeps losing the connection", "app crashes when I open the calendar", "The password reset mail never came",
        "スキャナーが起動しません", "今朝から印刷できません", "注文した商品がまだ届きません",
        "カメラの接続が何度も切れます", "カレンダーを開くとアプリが落ちる", "再設定のメールが届かない",
    ],
    "chat": [
        "Thank you very much for your help", "hello there", "Have a nice weekend", "thanks, you are great", "good afternoon", "Best wishes to your team",
        "ご対応ありがとうございました", "こんにちは、はじめまして", "良い週末をお過ごしください", "助かりました、ありがとう！", "おはようございます、お疲れさまです", "いつもお世話になっております。よろしくお願いします",
    ],
}  # fmt: skip

server = Server.attach()
DB = "harca_labels"
server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE", DB)
installed = Path(server.config("--pkglibdir")) / "pg_harca/models/query_type"
MANIFEST = json.loads((installed / "manifest.json").read_text(encoding="utf-8"))
folder = server.folder / "labels"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(mode=0o755)


def name(value):
    return "'" + str(value).replace("'", "''") + "'"


def model(called, graph, labels):
    """A model folder with a graph of this script and labels of its own; logits are not softened."""
    path = folder / called
    path.mkdir(mode=0o755)
    (path / "model.onnx").write_bytes(graph)
    manifest = {**MANIFEST, "name": called, "version": "1", "labels": labels, "golden": []}
    # These graphs have one input: they read no tokens.
    manifest["encoder"] = {key: value for key, value in MANIFEST["encoder"].items() if key != "tokens"}
    manifest.update(calibration={"method": "temperature", "temperature": 1}, sha256=hashlib.sha256(graph).hexdigest())
    (path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return path


def session_with(path):
    session = server.session(DB)
    session.psql(f"SET pg_harca.model = {name(path)}")
    return session


def rows(output):
    return [line.split("|") for line in output.splitlines()]


# The longer a text is, the later its label: by the number of its features, with borders at 60, 110 and 250.
by_length = model("by_length", affine([0, 1, 2, 3], [0, -60, -170, -420]), LABELS)
TEXTS = {
    "lookup": "1984",
    "howto": "causes of the french revolution",
    "trouble": "how do i make vector search faster, and why is it so slow at all",
    "chat": "and then " * 80,
}
session = session_with(by_length)
is_(rows(session.psql("SELECT * FROM harca.labels()")), [[str(i), label] for i, label in enumerate(LABELS, 1)], "labels() first")
for label, text in TEXTS.items():
    is_(session.psql(f"SELECT query_type({name(text)})"), label, f"query_type: {label}")
    is_(
        session.psql(
            "SELECT c.query_type, cardinality(scores), l.label, confidence = scores[l.ordinality], model"
            f" FROM classify_query({name(text)}) AS c JOIN harca.labels() AS l ON l.label = c.query_type"
        ),
        f"{label}|4|{label}|t|by_length 1",
        f"classify_query: {label}, with the scores in the order of the labels",
    )
array = f"ARRAY[{', '.join(map(name, TEXTS.values()))}, NULL, '??']"
is_(
    session.psql(f"SELECT string_agg(coalesce(query_type, 'null'), ' ' ORDER BY ordinality) FROM classify_queries({array})"),
    "lookup howto trouble chat null unknown",
    "classify_queries, with null and a text that holds nothing",
)
is_(session.psql("SELECT query_type, scores FROM classify_query('??')"), "unknown|{0.25,0.25,0.25,0.25}", "unknown is no label")
is_(
    session.psql(
        "SET pg_harca.min_confidence = 1; SELECT query_type, confidence < 1, scores[1] = confidence FROM classify_query('1984 x');"
        "RESET pg_harca.min_confidence; SELECT query_type FROM classify_query('1984 x')"
    ),
    "unknown|t|t\nlookup",
    "a doubtful answer is unknown, though no label",
)
session.psql("SET pg_harca.enabled = off")
is_(
    session.psql("SELECT string_agg(label, ' ' ORDER BY ordinality) FROM harca.labels(); SELECT query_type('1984')"),
    "keyword semantic hybrid unknown\nkeyword",
    "the rules answer with theirs",
)
session.psql("SET pg_harca.enabled = on")
is_(session.psql("SELECT label FROM harca.labels() LIMIT 1; SELECT query_type('1984')"), "lookup\nlookup", "and the model again")
session.close()

# Weights: always the same probabilities, so that the expected weight is known.
PROBABILITIES = [0.125, 0.5, 0.25, 0.125]
constant = model("constant", affine([0] * 4, [math.log(p) for p in PROBABILITIES]), LABELS)
server.psql("DROP ROLE IF EXISTS harca_owner; DROP ROLE IF EXISTS harca_guest; CREATE ROLE harca_owner; CREATE ROLE harca_guest")
server.psql(
    "CREATE TABLE note (id integer PRIMARY KEY, content text, tsv tsvector, embedding vector(2)); INSERT INTO note VALUES (1, 'slow', 'slow', '[1,0]');"
    "ALTER TABLE note OWNER TO harca_owner; SET ROLE harca_owner; SELECT harca.register_search_target('note', 'note', vector_weight => 0.375)",
    DB,
)
SEARCH = "SELECT query_type, round(vector_weight::numeric, 4) FROM hybrid_search('note', 'why slow?', '[1,0]')"
session = session_with(constant)
is_(session.psql(SEARCH), "howto|0.3750", "labels without a row have the target's weight")
session.psql("SET ROLE harca_owner")
session.psql("INSERT INTO harca.search_profile VALUES ('note', 'howto', 1), ('note', 'lookup', 0)")
session.psql("RESET ROLE")


def mean(*kinds):
    """Of (probability, weight); what is left of a probability when a twentieth counts for nothing and the rest for certain."""
    kinds = [(min(1, max(0, (probability - 0.05) / 0.9)), weight) for probability, weight in kinds]
    return sum(share * weight for share, weight in kinds) / sum(share for share, _ in kinds)


expected = mean((0.5, 1), (0.125, 0), (0.25, 0.375), (0.125, 0.375))
is_(session.psql(SEARCH), f"howto|{expected:.4f}", "rows of the owner's count by the probabilities, beside those without")
is_(
    session.psql(f"SET pg_harca.min_confidence = 0.51; {SEARCH}; RESET pg_harca.min_confidence"),
    f"unknown|{expected:.4f}",
    "a doubtful query is unknown and weighs the same",
)
is_(
    session.psql("SELECT round(vector_weight::numeric, 4) FROM hybrid_search('note', '??', '[1,0]')"),
    f"{(1 + 0 + 2 * 0.375) / 4:.4f}",
    "a text that holds nothing weighs all labels alike",
)
is_(
    session.psql(f"SET pg_harca.enabled = off; {SEARCH}"),
    # In a table of one row every word is rare.
    f"semantic|{mean((0.145, 0), (0.7, 0.375), (0.145, 0.375), (0.01, 0.375)):.4f}",
    "the rules' answers weigh by the rows of their own labels",
)
session.close()
for role, statement, state in [
    ("harca_owner", "INSERT INTO harca.search_profile VALUES ('note', '', 1)", "23514"),
    ("harca_owner", "INSERT INTO harca.search_profile VALUES ('note', 'trouble', 1.5)", "23514"),
    ("harca_owner", "INSERT INTO harca.search_profile VALUES ('note', 'howto', 1)", "23505"),
    ("harca_guest", "INSERT INTO harca.search_profile VALUES ('note', 'trouble', 1)", "42501"),
]:
    is_(server.sqlstate(f"SET ROLE {role}; {statement}", DB), state, f"{statement} as {role}")

# Labels are text, whatever it says.
ODD = ["問い合わせ", "it's \"odd\" \\ label", "Zwei Wörter", "unknown"]
session = session_with(model("odd", affine([0] * 4, [0, 3, 0, 0]), ODD))
is_([row[1] for row in rows(session.psql("SELECT * FROM harca.labels()"))], ODD, "odd labels")
is_(session.psql("SELECT query_type('why slow?'), query_type('??')"), f"{ODD[1]}|unknown", "and answers with them")
session.psql("INSERT INTO harca.search_profile SELECT 'note', label, 1 FROM harca.labels() ON CONFLICT DO NOTHING")
like(session.psql(SEARCH), r"label\|1\.0000", "and rows for them")
session.close()
for label in ("", " ", "a\0b", "line\nbreak", "x" * 64):
    session = session_with(model(f"bad{len(os.listdir(folder))}", affine([0, 1], [0, 0]), ["good", label]))
    try:
        session.psql("SELECT harca.load_model()")
        ok(False, f"the label {label[:10]!r} is refused")
    except PgError as error:
        is_(error.sqlstate, "22023", f"the label {label[:10]!r} is refused")
    session.close()

# A model from the training pipeline.
if (TRAINED / "manifest.json").exists():
    trained = folder / "four_labels"
    shutil.copytree(TRAINED, trained)
    for file in trained.iterdir():
        file.chmod(0o644)
    session = session_with(trained)
    like(session.psql("SELECT harca.load_model()"), ".", "the trained model loads")
    found = [row[1] for row in rows(session.psql("SELECT * FROM harca.labels()"))]
    is_(sorted(found), sorted(LABELS), "the trained model has its own labels")
    learnt = {line.split("\t")[0] for line in EXAMPLES.read_text(encoding="utf-8").splitlines()}
    is_([text for texts in HELD_OUT.values() for text in texts if text in learnt], [], "which has not seen these texts")
    cases = [(label, text) for label, texts in HELD_OUT.items() for text in texts]
    texts = ", ".join(name(text) for _, text in cases)
    answers = session.psql(f"SELECT query_type FROM classify_queries(ARRAY[{texts}]) ORDER BY ordinality").splitlines()
    wrong = [f"{text}: {answer}, not {label}" for (label, text), answer in zip(cases, answers) if answer != label]
    ok(
        len(answers) == len(cases) and len(wrong) <= len(cases) * 0.2,
        f"it tells at least 80 % of {len(cases)} held-out texts apart",
    )
    for line in wrong:
        print(f"#   {line}", flush=True)
    like(session.psql(SEARCH), r"^(?:lookup|howto|trouble|chat)\|0\.\d+$", "and it steers a search")
    session.close()
else:
    skip("a trained model with four labels", "tests/data/four_labels is not there")

shutil.rmtree(folder)
server.psql(f"DROP DATABASE {DB} WITH (FORCE); DROP ROLE harca_owner; DROP ROLE harca_guest")
done()
