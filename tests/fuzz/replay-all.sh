#!/bin/sh
# Runs every fuzz target over its corpus: tests/fuzz/corpus/X/* through fuzz_X.
set -u
corpus=${srcdir:-.}/tests/fuzz/corpus
status=0
for folder in "$corpus"/*/; do
	name=$(basename "$folder")
	target=${FUZZ_DIR:-tests/fuzz}/fuzz_$name
	if ! "$target" "$folder"*; then
		echo "fuzz_$name failed on its corpus" >&2
		status=1
	fi
done
exit $status
