# What the shell scripts of this folder share; sourced, never run.
# shellcheck shell=bash

# A failure inside $(...) ends the script too, not only that part of it.
shopt -s inherit_errexit

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck disable=SC2034 # for the scripts that source this
VENV=$ROOT/.venv

say() { printf '%s\n' "$*"; }
warn() { printf 'Note: %s\n' "$*" >&2; }
die() {
    printf 'Error: %s\n' "$*" >&2
    exit 1
}

# The comment that opens a script is its help: one text, read in the file and on the screen.
show_help() {
    awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$1"
    exit 0
}

# The value of an option, or a sentence saying that it is missing: `dir=$(value_of "$@")`.
value_of() {
    [[ $# -ge 2 && -n $2 ]] || die "$1 needs a value; --help tells which"
    printf '%s' "$2"
}

has() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    elif has sudo; then
        sudo -- "$@"
    else
        die "this needs root, and there is no sudo: run it as root, or install sudo first ($*)"
    fi
}

# Orthanc stands in /usr/sbin, which is not on the PATH of every user.
orthanc_program() {
    PATH=$PATH:/usr/sbin command -v Orthanc || die "Orthanc is not installed: run scripts/setup"
}

orthanc_plugin() {
    local file
    for file in /usr/share/orthanc/plugins/"$1" /usr/lib/orthanc/"$1"; do
        [[ -e $file ]] && printf '%s' "$file" && return
    done
    die "$1, a plugin of Orthanc, is not installed: run scripts/setup"
}

# The minor version of the Python that lives inside Orthanc, such as 3.11: compiled packages (numpy, hnswlib) made for
# another one cannot be loaded by it.
plugin_python_version() {
    local version
    version=$(ldd "$(orthanc_plugin libOrthancPython.so)" | sed -n 's/.*libpython\(3\.[0-9]*\).*/\1/p' | head -n 1)
    [[ -n $version ]] || die "the Python plugin of Orthanc names no libpython: reinstall the package orthanc-python"
    printf '%s' "$version"
}

# Where a virtual environment keeps its packages: what PYTHONPATH must name for the Python inside Orthanc.
site_packages() {
    local folder
    for folder in "$1"/lib/python3.*/site-packages; do
        [[ -d $folder ]] && printf '%s' "$folder" && return
    done
    die "no Python packages under $1: run scripts/setup"
}

# For the process that becomes Orthanc. PYTHONPATH: the Python inside it knows no virtual environment. MALLOC_ARENA_MAX:
# Orthanc's own advice against memory that grows with its threads. One thread for BLAS, whose matrices here are small:
# the network has its own setting.
orthanc_environment() {
    PYTHONPATH=$(site_packages "$VENV")
    export PYTHONPATH PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=5 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
}

# json_of TEXT: the text as a string of JSON.
json_of() { "$VENV/bin/python" -c 'import json, sys; print(json.dumps(sys.argv[1]))' "$1"; }

# plugins_json NAME...: Orthanc's list of plugins.
plugins_json() {
    local file list=""
    for file in "${@/%/.so}"; do list+="${list:+, }$(json_of "$(orthanc_plugin "$file")")"; done
    printf '[%s]' "$list"
}

node_major() {
    if has node; then
        node --version | sed -n 's/^v\([0-9]*\)\..*/\1/p'
    else
        printf '0'
    fi
}

# The viewer's tools (Vite, Vitest) need Node.js 20; Debian 12 has 18, Debian 13 has 20.
NODE_NEEDED=20
has_node() { [[ $(node_major) -ge $NODE_NEEDED ]] && has npm; }
