#!/usr/bin/env bash
# Gives the server of PG_CONFIG PL/Python, as far as Debian packages can, and fetches what the benchmark's function imports
# (scripts/requirements-plpython.txt) for the Python that it embeds; prints the folder of these packages.
# Usage: scripts/setup_plpython.sh PG_CONFIG
source "$(dirname "$0")/base.sh"

[ $# = 1 ] || die "usage: scripts/setup_plpython.sh PG_CONFIG"
pg_config=$(resolve "$1")
major=$(server_version "$pg_config")
library=$("$pg_config" --pkglibdir)/plpython3.so

if [ ! -f "$library" ]; then
    [ "$pg_config" = "/usr/lib/postgresql/$major/bin/pg_config" ] && has apt-get ||
        die "the server of $pg_config has no PL/Python, and no Debian package could bring it."
    [ "$(id -u)" = 0 ] || die "only root can install Debian packages: run sudo apt-get install postgresql-plpython3-$major."
    say "PL/Python for PostgreSQL $major: installing (10 s)"
    mkdir -p "$BUILD"
    log=$BUILD/plpython.log
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -qq -y --no-install-recommends "postgresql-plpython3-$major"; } >"$log" 2>&1 || {
        tail -n 5 "$log" >&2
        die "apt-get could not install postgresql-plpython3-$major; its last lines are above."
    }
    took
fi

# The Python of the server, which need not be the python3 of this shell.
version=$(ldd "$library" | sed -nE 's/.*libpython(3\.[0-9]+).*/\1/p' | head -n 1)
[ -n "$version" ] || die "$library names no libpython, so that no packages can be chosen for it."
requirements=$ROOT/scripts/requirements-plpython.txt
packages=$BUILD/plpython-$version
wanted="$(sha256 "$requirements") $version"
if ! stamped "plpython-$version" "$wanted" || [ ! -d "$packages/tokenizers" ]; then
    need_pip
    say "numpy, tokenizers and ONNX Runtime for the PL/Python of PostgreSQL $major: installing (40 MB, about 10 s)"
    log=$BUILD/plpython-$version.log
    rm -rf "$packages"
    # --no-deps: a session needs nothing beside these. pip reads the marks of the file for its own Python, so they are resolved here.
    line=$([ "${version#3.}" -lt 14 ] && echo '<' || echo '>=')
    mapfile -t wheels < <(sed -nE "s/^([a-z]+==[0-9.]+)(; python_version $line .*)?\$/\1/p" "$requirements")
    if ! "${PIP[@]}" install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --implementation cp \
        --python-version "$version" --platform "manylinux_2_28_$(machine)" --platform "manylinux_2_17_$(machine)" \
        --target "$packages" "${wheels[@]}" >"$log" 2>&1; then
        tail -n 3 "$log" >&2
        die "pip could not install ${wheels[*]} for Python $version. If the network or a proxy is in the way, check pip's own \
settings (PIP_INDEX_URL, PIP_CERT, https_proxy)."
    fi
    stamp "plpython-$version" "$wanted"
    took
fi
echo "$packages"
