#!/bin/sh
# Five folders and five lines in files, each looked at first. $1: where.
mkdir -p "$1" && cd "$1" || exit 1
for i in 1 2 3 4 5; do
  [ "$(stat -c %a "d$i" 2>/dev/null)" = 750 ] || { mkdir -p "d$i" && chmod 750 "d$i"; }
  grep -qxF "setting=$i" "f$i" 2>/dev/null || echo "setting=$i" >>"f$i"
done
