# shellcheck shell=bash
# What set-ups share that fetch packages of Debian: nothing is installed, all is unpacked below .build/. Sourced after base.sh by
# scripts that set $log.

# quietly COMMAND…: with the end of its output when it fails.
quietly() {
    "$@" >"$log" 2>&1 || {
        tail -n 15 "$log" >&2
        die "'$*' failed; its last lines are above."
    }
}

# debian_mirror: the mirror of Debian that this machine uses already.
debian_mirror() {
    local codename mirror
    has apt-get || die "this is not Debian or Ubuntu: there is no apt-get to fetch Debian's packages with. The tests run without them."
    # shellcheck disable=SC1091
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' | awk -v c="$codename" '$1 == c { print $2; exit }')
    [ -n "$mirror" ] || die "apt's sources name no mirror for $codename, from which Debian's packages could come."
    echo "$mirror"
}

# debian_open SUITE: sets DEBIAN_APT, an apt-get that knows that release alone and keeps everything in .build/apt.
debian_open() {
    local mirror apt=$BUILD/apt
    mirror=$(debian_mirror)
    debian_close
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/source"
    chmod 755 "$apt" "$apt/source"
    printf '%s [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' deb "$mirror" "$1" deb-src "$mirror" "$1" >"$apt/sources.list"
    DEBIAN_APT=(apt-get -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$apt/lists"
        -o "Dir::Cache=$apt" -o APT::Sandbox::User=root -o APT::Get::List-Cleanup=0)
    quietly "${DEBIAN_APT[@]}" update -qq
}

debian_close() { rm -rf "$BUILD/apt"; }

# debian_source PACKAGE: its source as it came to Debian, without Debian's changes, in .build/apt/source.
debian_source() {
    local source=$BUILD/apt/source
    (cd "$source" && quietly "${DEBIAN_APT[@]}" source -qq --download-only "$1")
    tar -xf "$(find "$source" -name '*.orig.tar.*' ! -name '*.asc' | head -n 1)" -C "$source" --strip-components=1
}

# pgvector PG_CONFIG: compiles pgvector from Debian 13's source into the server of that pg_config.
pgvector() {
    debian_open trixie
    debian_source pgvector
    # OPTFLAGS: without -march=native, so that the result runs on other processors of the kind too.
    quietly make -C "$BUILD/apt/source" -j2 PG_CONFIG="$1" OPTFLAGS="" with_llvm=no
    quietly make -C "$BUILD/apt/source" PG_CONFIG="$1" OPTFLAGS="" with_llvm=no install
    debian_close
}

# unpack_packages NAME WHAT PROGRAM PACKAGE…: unpacks packages of this machine's own release into .build/NAME, and sets $versions for
# its stamp; false when PROGRAM is there, below that folder, from these very versions. Nothing is installed and no service starts.
unpack_packages() {
    local name=$1 what=$2 program=$3 folder=$BUILD/$1
    shift 3
    has apt-get && has dpkg-deb || die "this is not Debian or Ubuntu: there is no apt-get to fetch $what with. The tests run without it."
    versions=$(apt-cache policy "$@" | awk '/Candidate:/ { print $2 }' | tr '\n' ' ')
    [ "$(echo "$versions" | wc -w)" = $# ] ||
        die "apt knows no package of $*. Run 'apt-get update' as root and try again; the tests run without them."
    if stamped "$name" "$versions" && [ -x "$folder/$program" ]; then return 1; fi

    say "$what: fetching Debian's packages (some seconds)"
    rm -rf "$folder"
    mkdir -p "$folder/archives"
    if ! (cd "$folder/archives" && apt-get download -q "$@") >"$BUILD/$name.log" 2>&1; then
        tail -n 3 "$BUILD/$name.log" >&2
        die "apt-get could not fetch $*. The tests run without them."
    fi
    for archive in "$folder"/archives/*.deb; do dpkg-deb -x "$archive" "$folder" || die "$archive cannot be unpacked."; done
    rm -rf "$folder/archives"
}
