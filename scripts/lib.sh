# lib.sh - what the scripts of this folder share; sourced, never run.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${MONGOWARD_CACHE:-${HOME:-/root}/.cache/mongoward}
JOBS=${JOBS:-$(nproc)}
CLEANUP=()

say() { printf '%s\n' "$*"; }
die() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

clean_up() {
	local step

	for step in "${CLEANUP[@]}"; do
		$step
	done
}

# make_venv FOLDER REQUIREMENTS: a virtual environment that holds exactly these, made once.
make_venv() {
	local folder=$1 requirements=$2

	if cmp -s "$requirements" "$folder/requirements.txt"; then
		return
	fi
	rm -rf "$folder"
	mkdir -p "$(dirname "$folder")"
	python3 -m venv "$folder" || return 1
	"$folder/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" || return 1
	cp "$requirements" "$folder/requirements.txt"
}

# copy_sources FOLDER: the tracked and new files of this checkout, so that a build in the
# checkout itself and those of the scripts do not meet.
copy_sources() {
	local folder=$1

	rm -rf "$folder"
	mkdir -p "$folder"
	if git -C "$ROOT" rev-parse --show-toplevel >/dev/null 2>&1; then
		(cd "$ROOT" && git ls-files -z --cached --others --exclude-standard |
			while IFS= read -r -d '' file; do
				[ -e "$file" ] && printf '%s\0' "$file"
			done | tar cf - --null --no-recursion -T -) | tar xf - -C "$folder"
	else
		(cd "$ROOT" && tar cf - --exclude=./build --exclude=./.quickstart .) |
			tar xf - -C "$folder"
	fi
}

# Compiler calls go through ccache where it is there.
cached() {
	if command -v ccache >/dev/null; then
		echo "ccache $1"
	else
		echo "$1"
	fi
}
