#!/bin/sh
# Runs in the test host, as root: every test program of /job/tests, with /job/corten as the runtime. One line a program,
# and the whole output of those that fail; fails when one of them does.
# /tmp is a tmpfs without devices there.
export RUNTIME=/job/corten TMPDIR=/var/tmp
place=$(cat place)
mkdir -p output "$place"
ln -s /job/source "$place/tests"
# User-mode Linux has no 32-bit personality.
skip="--skip personality_is_set --skip l16_personality_is_set_before_the_filter"
failed=0
for program in tests/*; do
    name=${program#tests/}
    # shellcheck disable=SC2086
    timeout 600 "$program" --test-threads 2 --nocapture $skip >"output/$name" 2>&1
    status=$?
    counts=$(sed -n 's/^test result: [a-zA-Z]*\. \(.*\) measured.*/\1/p' "output/$name" | sed 's/; [0-9]* *$//')
    skipped=$(grep -c '^skipped: ' "output/$name")
    echo "$name: ${counts:-ended with status $status}; $skipped found nothing to test here"
    if [ "$status" -ne 0 ]; then
        failed=1
        grep -E '^test .* FAILED$|panicked at' -A 12 "output/$name" | head -n 80
    fi
done
exit "$failed"
