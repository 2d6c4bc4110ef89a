#!/usr/bin/env python3
"""Without a usable ONNX Runtime library the rules answer, with one warning per session and reason, and nothing else breaks."""

import os
import re
import shutil
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PgError, Server, done, is_, like, ok  # noqa: E402

server = Server.attach()
DB, ROLE = "harca_runtime", "harca_runtime_user"
QUERY = "why are my searches slow"
server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
server.psql(f"DROP ROLE IF EXISTS {ROLE}; CREATE ROLE {ROLE} LOGIN")
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE", DB)
# The built-in model does without the runtime unless it is told otherwise.
server.psql(f"ALTER DATABASE {DB} SET pg_harca.executor = onnxruntime")

good = Path(server.psql("SELECT runtime_path FROM harca.backend_status()", DB))
folder = server.folder / "runtimes"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(mode=0o755)
content = good.read_bytes()


def library(name, data):
    (folder / name).write_bytes(data)
    return folder / name


postgres = Path(server.config("--pkglibdir"))
program = server.bindir / "postgres"
libc = re.search(r"/\S+/libc[.-]\S*so\S*", Path(f"/proc/{server.postmaster_pid()}/maps").read_text()).group()
closed = library("closed.so", content[:4096])
closed.chmod(0)
BROKEN = {
    "a file that is missing": (folder / "missing.so", "No such file"),
    "an empty file": (library("empty.so", b""), "ELF"),
    "a text file": (library("text.so", b"This is no library.\n" * 100), "ELF"),
    "the first 64 bytes": (library("header.so", content[:64]), "truncated"),
    "the first 4096 bytes": (library("page.so", content[:4096]), "truncated"),
    "half of the library": (library("half.so", content[: len(content) // 2]), "truncated"),
    "the library without its last bytes": (library("end.so", content[:-100]), "truncated"),
    "zeros behind an ELF header": (library("zeros.so", content[:20] + bytes(100000)), "zeros.so"),
    "libc": (Path(libc), "OrtGetApiBase"),
    "a library of PostgreSQL": (postgres / "plpgsql.so", "OrtGetApiBase"),
    "an executable": (program, "/postgres"),
    "a folder": (folder, "regular file"),
    "a file that nobody may read": (closed, "Permission denied"),
    "a device": (Path("/dev/null"), "regular file"),
    "a name with a quote and a line end": (folder / "it's\nmissing.so", "No such file"),
}
postmaster = server.postmaster_pid()
bystander = server.session(DB)
bystander.psql(f"SELECT query_type('{QUERY}')")


def warnings(text):
    return re.findall(r"^WARNING:  (\w+): (.*)$", text, re.M)


def name(value):
    return "'" + str(value).replace("'", "''") + "'"


for what, (path, reason) in BROKEN.items():
    session = server.session(DB)
    session.psql(f"SET pg_harca.onnxruntime_path = {name(path)}")
    output = session.psql(f"SELECT model, query_type FROM classify_query('{QUERY}')")
    like(output, r"rules\|semantic$", f"{what}: the rules answer")
    is_(len(warnings(output)), 1, f"{what}: with a warning")
    output = session.psql(
        f"SELECT query_type('another one'); SELECT query_type('{QUERY}');"
        "SELECT DISTINCT model FROM classify_queries(ARRAY(SELECT 'query ' || i FROM generate_series(1, 200) AS i)); DISCARD ALL"
    )
    is_((len(warnings(output)), "rules" in output), (0, True), f"{what}: which is not repeated")
    session.psql(f"SET pg_harca.onnxruntime_path = {name(path)}")  # DISCARD ALL has reset it
    is_(len(warnings(session.psql("SELECT query_type('a third')"))), 0, f"{what}: not when it is set again either")
    status = session.psql(
        "SELECT state, model IS NULL, threads, rule_answers, inferences, replace(failure, E'\\n', ' ') FROM harca.backend_status()"
    ).split("|")
    is_(status[:5], ["failed", "t", "1", "204", "0"], f"{what}: the state of the session")
    like(status[5], re.escape(reason), f"{what}: and the reason")
    try:
        session.psql("SELECT harca.load_model()")
        ok(False, f"{what}: load_model raises an error")
    except PgError as error:
        is_((error.sqlstate, "HINT:" in error.stderr), ("58P01", True), f"{what}: load_model raises an error")
    session.psql("RESET pg_harca.onnxruntime_path")
    like(session.psql(f"SELECT model FROM classify_query('{QUERY}')"), "^query_type ", f"{what}: after a reset the model answers")
    is_(
        session.psql("SELECT state, failure IS NULL, threads FROM harca.backend_status()"),
        "ready|t|1",
        f"{what}: and the session is as others are",
    )
    session.close()

# One warning for each reason, and the reasons are told apart.
session = server.session(DB)
counts = []
for what in ("a file that is missing", "a text file", "a file that is missing", "a text file"):
    session.psql(f"SET pg_harca.onnxruntime_path = {name(BROKEN[what][0])}")
    counts.append(len(warnings(session.psql("SELECT query_type('x y')"))))
is_(counts, [1, 1, 0, 0], "one warning for each reason")
like(
    session.psql("SET pg_harca.onnxruntime_path = '/nowhere'; SET client_min_messages = error; SELECT query_type('x y')"),
    "^keyword$",
    "client_min_messages holds",
)

# A failure inside a transaction does not end it; a setting that is rolled back is as it was.
session.psql("SET client_min_messages = warning; RESET pg_harca.onnxruntime_path; BEGIN; CREATE TABLE kept (n integer)")
session.psql(f"SET LOCAL pg_harca.onnxruntime_path = {name(BROKEN['half of the library'][0])}")
like(session.psql("SELECT model FROM classify_query('x y')"), "rules$", "inside a transaction: the rules answer")
session.psql("COMMIT")
like(
    session.psql("SELECT (classify_query('x y')).model, count(*) FROM kept"),
    r"^query_type .*\|0$",
    "and it commits, and the model is back",
)
# Once loaded, a library stays: it is the file of the process.
session.psql("SET pg_harca.onnxruntime_path = '/nowhere'")
like(session.psql("SELECT model FROM classify_query('x y')"), "^query_type ", "a library that is loaded is not looked for again")
session.close()

# For all sessions of a database.
path = name(BROKEN["a text file"][0])
server.psql(f"ALTER DATABASE {DB} SET pg_harca.onnxruntime_path = {path}")
server.psql(
    "CREATE TABLE note (id integer PRIMARY KEY, content text, tsv tsvector, embedding vector(2)); INSERT INTO note VALUES (1, 'slow', 'slow', '[1,0]')",
    DB,
)
server.psql("SELECT harca.register_search_target('note', 'note')", DB)
result = server.run("SELECT id, query_type, vector_weight FROM hybrid_search('note', 'why slow?', '[1,0]')", DB)
like(result.out, r"^1\|semantic\|0\.\d+$", "hybrid_search goes on with the rules")
is_(len(warnings(result.err)), 1, "with one warning")
result = server.run(f"GRANT ALL ON SCHEMA public TO {ROLE}; SET ROLE {ROLE}; SELECT model FROM classify_query('x y')", DB)
is_((result.out, len(warnings(result.err))), ("rules", 1), "an ordinary role is answered by the rules too")
like(result.err, "text.so", "the warning says which file")
is_(server.sqlstate(f"SET pg_harca.onnxruntime_path = {path}", DB, ROLE), "42501", "an ordinary role may not choose the library")
is_(server.sqlstate("RESET pg_harca.onnxruntime_path", DB, ROLE), "42501", "nor reset it")
is_(server.sqlstate("SELECT set_config('pg_harca.onnxruntime_path', '/tmp/x.so', true)", DB, ROLE), "42501", "by no other way")
is_(server.sqlstate(f"ALTER ROLE {ROLE} SET pg_harca.onnxruntime_path = {path}", DB, ROLE), "42501", "nor for its next session")
is_(server.sqlstate("SET pg_harca.model = '/tmp'", DB, ROLE), "42501", "nor a model")
server.psql(f"ALTER DATABASE {DB} RESET pg_harca.onnxruntime_path")

# Something that can be opened and never ends must not hang the session.
os.mkfifo(folder / "pipe.so")
(folder / "pipe.so").chmod(0o666)
session = server.session(DB)
session.psql(f"SET pg_harca.onnxruntime_path = {name(folder / 'pipe.so')}")
try:
    like(session.psql("SELECT model FROM classify_query('x y')", timeout=10), "rules$", "a named pipe: the rules answer")
    session.close()
except TimeoutError:
    ok(False, "a named pipe: the rules answer")
    with open(folder / "pipe.so", "wb"):
        pass  # lets it go

is_(server.postmaster_pid(), postmaster, "the server has been up all the time")
like(bystander.psql(f"SELECT model FROM classify_query('{QUERY} today')"), "^query_type ", "and so has another session")
bystander.close()
shutil.rmtree(folder)
server.psql(f"DROP DATABASE {DB} WITH (FORCE)")
server.psql(f"DROP ROLE {ROLE}")
done()
