#!/usr/bin/env bash
# Babel 2.19.0 (Python): a text of a .po file without its closing quote is read without its last letter.
#
# A catalogue that a translator edited by hand may lack a quote. msgfmt refuses such a file. `read_po` is told to refuse
# an invalid one, too (`abort_invalid=True`), and reads it: of each line it takes all but the first and the last
# character, whatever they are. The buyer reads "Summ".
#
# Seen:
#   'Total' → 'Summ'
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check babel==2.19.0
cat > "$work/finding.py" <<'P'
from io import BytesIO

from babel.messages.pofile import read_po

catalog = read_po(BytesIO(b'msgid "Total"\nmsgstr "Summe\n'), abort_invalid=True)
text = catalog.get("Total").string
print(f"'Total' → {text!r}")
assert text == "Summ", text
assert list(catalog.check()) == []
P
"$work/venv/bin/python" "$work/finding.py"
