#!/bin/sh
# Audits a corpus that grows, writes the audit down, and exits 1 when it has drifted from its baseline.
#   weekly-audit.sh CORPUS FOLDER     FOLDER keeps the scan, the ledger, its chart and, on drift, drift.json
# cron, every Monday at six:   0 6 * * 1  /opt/foxing/weekly-audit.sh /data/web /var/lib/foxing/web
# systemd: foxing-audit@.service and foxing-audit@.timer beside this file.
set -eu
corpus=$1
folder=$2
mkdir -p "$folder"
cd "$folder"
rm -f drift.json
# Only new and changed files are measured; what could not be read is said, and exits 2, when the rest is done.
foxing scan "$corpus" -o audit --update --quiet
exec foxing ledger web.ledger --add audit --chart trend.svg --notify drift.json
