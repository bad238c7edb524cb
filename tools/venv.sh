#!/bin/sh
# Make .venv with the first fitting Python of this machine, or say in one line what to install.
make_environment() {
    for python in python3 python3.13 python3.12 python3.11; do
        "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || continue
        "$python" -m venv .venv >/dev/null 2>&1 && return 0
        rm -rf .venv
    done
    return 1
}

make_environment && exit 0
# Debian's Python comes without what makes virtual environments.
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing python3-venv ..."
    apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 python3-venv >/dev/null
    make_environment && exit 0
fi
echo "Papo needs Python 3.11, 3.12 or 3.13 with venv; on Debian: apt-get install python3 python3-venv" >&2
exit 1
