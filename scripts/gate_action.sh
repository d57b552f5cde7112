#!/usr/bin/env bash
# What action.yml runs: measure COMMAND in the checkout and in a worktree of BASE, in turns; write the
# verdict into the job's summary and as an annotation. The exit code is that of `permille gate`.
set -euo pipefail

annotate() { # error|notice TEXT: in workflow commands %, carriage return and newline are escaped
  local text=${2//'%'/%25}
  text=${text//$'\r'/%0D}
  echo "::$1 title=permille gate::${text//$'\n'/%0A}"
}

if [ -z "$BASE" ]; then
  annotate error "there is no commit to compare with: the event has none, so give the input base"
  exit 2
fi

head=$GITHUB_WORKSPACE
base=$RUNNER_TEMP/permille-base
rm -rf "$base"
# git refuses to add a worktree where it remembers one, also if its folder is gone.
git -C "$head" worktree prune
if ! git -C "$head" worktree add --quiet --detach "$base" "$BASE" 2>"$RUNNER_TEMP/permille-git"; then
  cat "$RUNNER_TEMP/permille-git" >&2
  annotate error "cannot check out the base '$BASE': give actions/checkout fetch-depth: 0"
  exit 2
fi

if [ -n "$SETUP" ]; then
  for folder in "$base" "$head"; do
    if ! (cd "$folder" && bash -c "$SETUP"); then
      annotate error "the setup failed in ${folder/#"$base"/the base}: $SETUP"
      exit 2
    fi
  done
fi

summary=$RUNNER_TEMP/permille-gate.md
rm -f "$summary"
code=0
# A verdict is an exit code, too, at which set -e would end before anything is said.
"$PERMILLE" gate --until-told --rounds "${ROUNDS:-4}" --at-most "$AT_MOST" \
  --max-increase "$MAX_INCREASE" --command-name "base: $COMMAND" --command-name "head: $COMMAND" \
  --export-markdown "$summary" \
  -- env -C "$base" bash -c "$COMMAND" --- env -C "$head" bash -c "$COMMAND" \
  >"$RUNNER_TEMP/permille-verdict" 2>"$RUNNER_TEMP/permille-errors" || code=$?

cat "$RUNNER_TEMP/permille-errors" >&2
cat "$RUNNER_TEMP/permille-verdict"
if [ -f "$summary" ]; then cat "$summary" >>"$GITHUB_STEP_SUMMARY"; fi
verdict=$(tail -n 1 "$RUNNER_TEMP/permille-verdict")
[ -n "$verdict" ] || verdict=$(tail -n 1 "$RUNNER_TEMP/permille-errors")
if [ "$code" = 0 ]; then annotate notice "$verdict"; else annotate error "$verdict"; fi
exit "$code"
