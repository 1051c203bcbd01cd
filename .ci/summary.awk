# Counts the top-level tests in the output of go test -v and names what was
# skipped, with the reason that the test itself gave last.
/^=== (RUN|NAME|CONT) / { test = $3 }
/^ *[^ ]+_test\.go:[0-9]+: / { reason[test] = $0; sub(/^ *[^ ]*\.go:[0-9]+: /, "", reason[test]) }
/^--- PASS/ { passed++ }
/^--- FAIL/ { failed++ }
/^ *--- SKIP/ { skipped++; skips = skips "; " $3 ": " reason[$3] }
END {
  if (skipped) print "skipped" substr(skips, 2)
  printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
}
