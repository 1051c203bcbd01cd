#!/bin/sh
# Makes the secrets of compose.yaml in the folder "secrets" beside this file (or
# in the folder that is given), new ones only where there are none. A gateway's
# user has the gateway's name: add mqtt/<gateway> for each further one.
set -eu
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder/mqtt"
# Containers read the files as other users; who else may, the folder decides.
chmod 700 "$folder"
for name in mqtt/twin mqtt/edge-1 influx-password influx-token grafana-password; do
  [ -s "$folder/$name" ] && continue
  od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$folder/$name"
  chmod 644 "$folder/$name"
  echo "made $folder/$name"
done
