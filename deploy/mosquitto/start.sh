#!/bin/sh
# Makes the password file out of the folder of secrets, a file for each user
# with the user's name, then runs Mosquitto. Passwords stand in no command line.
set -eu
config=${1:-/mosquitto/config/mosquitto.conf}
secrets=${2:-/run/secrets/mqtt}
passwords=${3:-/mosquitto/data/passwords}

umask 077
: >"$passwords"
for file in "$secrets"/*; do
  printf '%s:%s\n' "$(basename "$file")" "$(cat "$file")" >>"$passwords"
done
mosquitto_passwd -U "$passwords"
# Mosquitto leaves root for this user, where it is there.
if [ "$(id -u)" = 0 ] && id mosquitto >/dev/null 2>&1; then chown mosquitto "$passwords"; fi
exec mosquitto -c "$config"
