# Makes tables, in Markdown, of the output of .ci/bench.

$1 == "machine:" { sub(/^machine: /, ""); machine = $0; next }
$1 == "commit:" { commit = $2; next }
$1 == "load:" { load = load (load == "" ? "" : ", ") $2; next }
$1 == "pkg:" { pkg = $2; sub(/^linetwin\//, "", pkg); next }
/^Benchmark/ && NF >= 4 {
  name = $1
  sub(/-[0-9]+$/, "", name)
  sub(/^Benchmark/, "", name)
  for (i = 3; i < NF; i += 2) v[pkg " " name, $(i + 1)] = $i
  next
}
/^ *[^ ]+\.go:[0-9]+: / { reason = $0; sub(/^ *[^ ]+:[0-9]+: /, "", reason); next }
/^ *--- (SKIP|FAIL): Benchmark/ { skipped = skipped "\n" pkg " " $3 ": " reason; next }

function has(bench, unit) { return (bench, unit) in v }
function num(bench, unit, format) { return has(bench, unit) ? sprintf(format, v[bench, unit]) : "-" }
function thousands(x,    s, out) {
  s = sprintf("%.0f", x)
  for (out = ""; length(s) > 3; s = substr(s, 1, length(s) - 3)) out = "," substr(s, length(s) - 2) out
  return s out
}
# Two figures that count are enough of a rate.
function rate(bench, unit, factor,    x, step) {
  if (!has(bench, unit)) return "-"
  x = v[bench, unit] * (factor ? factor : 1)
  for (step = 1; x / step >= 1000; step *= 10) ;
  return thousands(int(x / step + 0.5) * step)
}
function perSecond(bench, each) { # of each things in an operation
  if (!has(bench, "ns/op")) return "-"
  v[bench, "made/s"] = each * 1e9 / v[bench, "ns/op"]
  return rate(bench, "made/s")
}

function gateways(    m, n, b, modes, sizes) {
  split("modbus opcua-read opcua-subscribe", modes, " ")
  split("1000 10000 100000", sizes, " ")
  print "\n| gateway, one core | signals, each second | CPU s per million readings | CPU | RSS MB | peak RSS MB | to the host p50 / p99 ms |"
  print "|---|--:|--:|--:|--:|--:|--:|"
  for (m = 1; m <= 3; m++) for (n = 1; n <= 3; n++) {
    b = "cmd/linetwin Gateway/" modes[m] "/signals=" sizes[n]
    if (n == 3 && m > 1) continue # the simulated OPC UA server cannot
    printf "| %s | %s | %s | %s %% | %s | %s | %s |\n", modes[m], thousands(sizes[n]), num(b, "cpu-s/Mread", "%.2f"), num(b, "cpu-%", "%.1f"), \
      num(b, "rss-MB", "%.0f"), num(b, "rss-peak-MB", "%.0f"), pair(b, modes[m] ~ /subscribe/ ? "change-to-host" : "read-to-host")
  }
}
function pair(b, what) { return num(b, what "-p50-ms", "%.1f") " / " num(b, what "-p99-ms", "%.1f") }

function latencies(    m, b, modes) {
  split("modbus opcua-read opcua-subscribe", modes, " ")
  print "\n| each 200 ms | change to twin, least ms | p50 ms | p99 ms | greatest ms | read to host p50 / p99 ms | change to host p50 / p99 ms |"
  print "|---|--:|--:|--:|--:|--:|--:|"
  for (m = 1; m <= 3; m++) {
    b = "cmd/linetwin Latency/" modes[m]
    printf "| %s | %s | %s | %s | %s | %s | %s |\n", modes[m], num(b, "change-to-twin-min-ms", "%.1f"), num(b, "change-to-twin-p50-ms", "%.0f"), num(b, "change-to-twin-p99-ms", "%.0f"), \
      num(b, "change-to-twin-max-ms", "%.0f"), pair(b, "read-to-host"), pair(b, "change-to-host")
  }
}

function lateness(b) {
  return "looks; p50 / p99 begun " num(b, "late-p50-ms", "%.1f") " / " num(b, "late-p99-ms", "%.1f") ", done " num(b, "done-p50-ms", "%.1f") " / " num(b, "done-p99-ms", "%.1f") " ms after their time"
}

function starts(    m, modes) {
  split("modbus opcua-read", modes, " ")
  print "\n| from the start of the process to the first value at the host | p50 ms | greatest ms |"
  print "|---|--:|--:|"
  for (m = 1; m <= 2; m++)
    printf "| %s | %s | %s |\n", modes[m], num("cmd/linetwin Start/" modes[m], "start-p50-ms", "%.0f"), num("cmd/linetwin Start/" modes[m], "start-max-ms", "%.0f")
}

function row(what, value, unit) { printf "| %s | %s | %s |\n", what, value, unit }

function rates(    p) {
  print "\n| what | a second | of |"
  print "|---|--:|---|"
  p = "cmd/linetwin GatewayPeak/"
  row("gateway process, Modbus to host", rate(p "modbus", "received/s"), "readings, with " num(p "modbus", "cpu-%", "%.0f") " % of a core")
  row("gateway process, OPC UA read to host", rate(p "opcua-read", "received/s"), "readings, with " num(p "opcua-read", "cpu-%", "%.0f") " % of a core")
  row("twin: fold, one core", rate("twin Fold", "events/s"), "events")
  row("twin: fold two at a time, one core", rate("twin FoldLive", "events/s"), "events")
  row("twin: OEE of a shift of 500 segments", perSecond("twin Tally", 1), "shifts")
  row("history: SQLite", rate("connectors/sqlite Write", "readings/s"), "readings")
  row("history: InfluxDB 1.8", rate("connectors/influx Write", "readings/s"), "readings")
  row("gateway: filter, batch and number", rate("gateway Poll", "readings/s"), "readings")
  row("gateway: append to the synced disk", rate("gateway AppendCommit", "readings/s"), "readings")
  row("gateway: drain a backlog, without wire", rate("gateway Drain", "readings/s"), "readings")
  row("gateway: encode a block, zstd", rate("gateway Encode/zstd", "readings/s"), "readings of " num("gateway Encode/zstd", "B/reading", "%.1f") " bytes")
  row("gateway: decode a block", rate("gateway Decode", "readings/s"), "readings")
  row("wire: encode a DDATA of 50", perSecond("connectors/sparkplug Encode50", 50), "readings")
  row("wire: decode a DDATA of 50", perSecond("connectors/sparkplug Decode50", 50), "readings")
  row("wire: publish to acknowledged, batches of 50, Mosquitto", rate("connectors/sparkplug EndToEnd/mosquitto", "batches/s", 50), "readings")
  row("wire: the same, embedded broker", rate("connectors/sparkplug EndToEnd/nats", "batches/s", 50), "readings")
  row("Modbus: plan, check and decode, without network", perSecond("connectors/modbus Poll10000Registers", 10000), "readings")
  p = "connectors/modbus Plan"
  row("Modbus: gather 1,000 signals into requests", perSecond(p, 1000), "signals; " num(p, "requests/cycle", "%.1f") " requests each cycle, least possible " num(p, "minimum/cycle", "%.1f"))
  p = "connectors Lateness/"
  row("Modbus: looks of 60 devices each 10 to 100 ms", rate(p "spread", "looks/s"), lateness(p "spread"))
  row("Modbus: the same, all of an address at the same instant", rate(p "together", "looks/s"), lateness(p "together"))
}

function overload(    b) {
  b = "cmd/linetwin GatewayOverload"
  print "\n| asked for more than it can do | |"
  print "|---|--:|"
  print "| peak, readings a second | " rate(b, "peak/s") " |"
  print "| offered, readings a second | " rate(b, "offered/s") " |"
  print "| goodput, share of the peak | " num(b, "goodput-%", "%.0f %%") " |"
  print "| RSS, against a gateway at its ease | " num(b, "rss-%", "%.0f %%") " |"
  print "| age of what arrives, p50 / p99, in intervals | " num(b, "age-p50-intervals", "%.2f") " / " num(b, "age-p99-intervals", "%.2f") " |"
  print "| left out, readings a second | " rate(b, "shed/s") " |"
  print "| read or counted as left out, share of what was offered | " num(b, "accounted-%", "%.1f %%") " |"
}

function memories(b, who) { return num(b, who "-rss-max-MB", "%.0f") " (" num(b, who "-rss-growth", "%.2f") ")" }

function backlogs(    m, b, stores) {
  split("sqlite influxdb", stores, " ")
  print "\n| 8 hours of 1,000 readings a second | until all is in history, s | readings a second | CPU s per million: gateway / twin | age of live data p50 / greatest ms | RSS MB (growth): gateway, twin |"
  print "|---|--:|--:|--:|--:|--:|"
  for (m = 1; m <= 2; m++) {
    b = "cmd/linetwin Backlog/" stores[m]
    printf "| %s | %s | %s | %s / %s | %s / %s | %s, %s |\n", stores[m], num(b, "s", "%.0f"), rate(b, "readings/s"), num(b, "gateway-cpu-s/Mread", "%.2f"), num(b, "twin-cpu-s/Mread", "%.2f"), \
      num(b, "live-age-p50-ms", "%.0f"), num(b, "live-age-max-ms", "%.0f"), memories(b, "gateway"), memories(b, "twin")
  }
}

function cuts(    m, b, kinds, live) {
  split("cut kill", kinds, " ")
  print "\n| broker away for 15 s, 100,000 readings a second | readings | lost | longest gap s | drained, readings a second (times live) | age of live data before / meanwhile / after, p50 ms | p99 ms |"
  print "|---|--:|--:|--:|--:|--:|--:|"
  for (m = 1; m <= 2; m++) {
    b = "cmd/linetwin Cut/" kinds[m]
    printf "| %s | %s | %s | %s | %s (%s) | %s | %s |\n", kinds[m] == "cut" ? "gateway goes on" : "gateway killed and started again", rate(b, "readings"), num(b, "lost", "%.0f"), num(b, "longest-gap-s", "%.1f"), \
      rate(b, "drain/s"), num(b, "drain-to-live", "%.1f"), ages(b, "p50"), ages(b, "p99")
  }
}
function ages(b, q) { return num(b, "live-before-" q "-ms", "%.0f") " / " num(b, "live-draining-" q "-ms", "%.0f") " / " num(b, "live-after-" q "-ms", "%.0f") }

function full(    b) {
  b = "cmd/linetwin Full"
  print "\n| gateway with a full buffer | |"
  print "|---|--:|"
  print "| backlog | " num(b, "backlog-MiB", "%.0f") " MiB, " num(b, "backlog-Mreadings", "%.0f") " million readings |"
  print "| from the start to the first value at the host | " num(b, "start-ms", "%.0f") " ms |"
  print "| RSS (of it not of files) while nobody is there, MB | " num(b, "waiting-rss-MB", "%.0f") " (" num(b, "waiting-anon-MB", "%.0f") ") |"
  print "| RSS (of it not of files) while it drains, MB | " num(b, "draining-rss-MB", "%.0f") " (" num(b, "draining-anon-MB", "%.0f") ") |"
  print "| drained, readings a second | " rate(b, "drain/s") " |"
}

END {
  print machine "; commit " commit "; load average before, between and after: " load
  gateways()
  latencies()
  overload()
  starts()
  backlogs()
  cuts()
  full()
  rates()
  if (skipped) print "\nnot measured:" skipped
}
