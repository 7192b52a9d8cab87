#!/usr/bin/env bash
# cyclonedx-bom 7.5.0 (cyclonedx-py): `requirements` lists the packages of other systems, and says nowhere that they are.
#
# A lock file for several systems has lines such as `colorama==0.4.6 ; sys_platform == 'win32'`. pip leaves that out on
# Linux. In the bill of materials it is a component like any other: the marker is neither evaluated nor a property. The
# whole line, hashes and all, becomes the component's description; there is no dependency graph, and no licence.
#
# Seen, for the two lines below:
#   components: colorama idna
#   description of colorama: requirements line 1: colorama==0.4.6 ; sys_platform == 'win32'
#   environment, which has idna alone: components: idna, licences: BSD-3-Clause
# Whoever wants to know what an image has asks `cyclonedx-py environment`, of an environment with these packages.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check cyclonedx-bom==7.5.0 idna==3.11
python3 -m venv --without-pip "$work/image"
site=$("$work/image/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$site" idna==3.11
cat > "$work/requirements.txt" <<'R'
colorama==0.4.6 ; sys_platform == 'win32'
idna==3.11
R
"$work/venv/bin/cyclonedx-py" requirements "$work/requirements.txt" --output-file "$work/requirements.json"
"$work/venv/bin/cyclonedx-py" environment "$work/image/bin/python" --output-file "$work/environment.json"
python3 - "$work" <<'P'
import json
import sys

listed, installed = (
    json.load(open(f"{sys.argv[1]}/{each}.json"))["components"] for each in ("requirements", "environment")
)
colorama = next(each for each in listed if each["name"] == "colorama")
print("components:", *sorted(each["name"] for each in listed))
print("description of colorama:", colorama["description"])
print("environment: components:", *(each["name"] for each in installed), "licences:", installed[0]["licenses"])
assert sys.platform != "win32"
assert sorted(each["name"] for each in listed) == ["colorama", "idna"], listed
assert "win32" in colorama["description"], colorama
assert "properties" not in colorama, colorama
assert not any("licenses" in each for each in listed), listed
assert [each["name"] for each in installed] == ["idna"], installed
assert installed[0]["licenses"], installed
P
