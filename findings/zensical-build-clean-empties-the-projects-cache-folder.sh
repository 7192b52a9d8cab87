#!/usr/bin/env bash
# zensical 0.0.73: `zensical build --clean` deletes all of the project's `.cache/`, whoever put it there.
#
# Its help says that the option cleans the cache. Zensical keeps its own files in `.cache/` of the project, the folder
# that other tools use as well (what was compiled, downloaded, or is being written by a build beside it). With `--clean` it
# does not take out what it wrote: it deletes the folder, and makes a new one. Without the option it leaves the files of
# others alone, and in a first build, with no file of its own in the folder, `--clean` deletes them just the same.
#
# Seen:
#   zensical build: .cache/tool/program is there
#   zensical build --clean: .cache/tool/program is gone
# A build of the documentation that runs beside tests takes their programs away in the middle of a run.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check zensical==0.0.73

for options in "" "--clean"; do
  project=$work/project$options
  mkdir -p "$project/docs" "$project/.cache/tool"
  printf '[project]\nsite_name = "example"\n' > "$project/zensical.toml"
  echo '# Example' > "$project/docs/index.md"
  touch "$project/.cache/tool/program"
  # shellcheck disable=SC2086 # no option is no argument
  (cd "$project" && "$work/venv/bin/zensical" build $options > "$work/log" 2>&1) || { cat "$work/log"; exit 1; }
  test -f "$project/site/index.html"
  if [ -e "$project/.cache/tool/program" ]; then left="is there"; else left="is gone"; fi
  echo "zensical build${options:+ $options}: .cache/tool/program $left"
done | tee "$work/seen"

diff "$work/seen" - <<'SEEN'
zensical build: .cache/tool/program is there
zensical build --clean: .cache/tool/program is gone
SEEN
