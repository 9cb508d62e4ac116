#!/bin/sh
# Makes the murmur2 vectors with Kafka's Java class and compares them with the committed ones.
#   run.sh           compare; fails when they differ
#   run.sh --write   put them in the place of the committed ones
# Needs mvn and a JDK (17 or later). What it fetches and builds is kept in the user's cache folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
committed="$here/../../../packages/event-log/src/murmur2-vectors.jsonl"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/memplane/judges/murmur2"
mkdir -p "$cache/classes"

if [ ! -e "$cache/jars/kafka-clients-4.1.0.jar" ]; then
  echo "murmur2: fetching kafka-clients (once, under a minute)" >&2
  mvn --quiet --batch-mode -Dstyle.color=never -f "$here/pom.xml" dependency:copy-dependencies \
    "-DoutputDirectory=$cache/jars" >&2
fi
javac -d "$cache/classes" -cp "$cache/jars/*" "$here/Murmur2Vectors.java"
java -cp "$cache/classes:$cache/jars/*" Murmur2Vectors >"$cache/vectors.jsonl"

count=$(wc -l <"$cache/vectors.jsonl")
if [ "${1:-}" = "--write" ]; then
  cp "$cache/vectors.jsonl" "$committed"
  echo "murmur2: $count vectors written"
elif cmp "$cache/vectors.jsonl" "$committed"; then
  echo "murmur2: $count vectors, equal to the committed ones"
else
  echo "murmur2: the committed vectors differ from those of Kafka's class" >&2
  exit 1
fi
