#!/bin/sh
# Runs in the test host, as root: every test program of /job/tests, with /job/corten as the runtime. One line a program,
# and the whole output of those that fail; then the sums. Fails when one of them does. With a file "retries" that does not say 0, a test
# that fails is run once more, alone; one that passes then is printed as FLAKY, to be mended.
: >started
# /tmp is a tmpfs without devices there.
export RUNTIME=/job/corten OCICTL=/job/ocictl TMPDIR=/var/tmp
# What is special about this host: its cgroups, or its security module.
kind=$(cat kind)
place=$(cat place)
mkdir -p output "$(dirname "$place")"
ln -s /job/source "$place"
# User-mode Linux has no 32-bit personality.
without="--skip personality_is_set --skip l16_personality_is_set_before_the_filter"
retries=$(cat retries)

# Runs the failed tests of a program again; whether all pass now.
second_try() {
    [ "$retries" -gt 0 ] || return 1
    # The last list of names, each indented.
    again=$(tac "output/$2" | sed -n '/^test result: /,/^failures:$/ s/^    //p')
    [ -n "$again" ] || return 1
    # shellcheck disable=SC2086
    timeout 900 "$1" --test-threads 1 --nocapture --exact $again >"output/$2.again" 2>&1 || return 1
    for test in $again; do
        echo "    $2: FLAKY $test"
    done
}

failed=0 all_passed=0 all_failed=0 all_skipped=0 conformance= runtime_tools=
for program in tests/*; do
    name=${program#tests/}
    if [ "$name" = conformance ]; then
        timeout 1800 "$program" --tap output/conformance.tap --junit output/conformance.xml >"output/$name" 2>&1
        status=$?
        counts=$(sed -n 's/^conformance .*): //p' "output/$name")
        conformance="host-$kind-conformance: ${counts:-0 passed, 1 failed, 0 skipped}"
    elif [ "$name" = runtime-tools ]; then
        # The profile that one of the programs asks for, and the interface that another one does.
        echo 'profile acme_secure_profile { capability, file, mount, network, ptrace, signal, umount, }' | apparmor_parser --replace
        ip link add eth0 type dummy
        timeout 1800 "$program" --results output/runtime-tools.tsv --verbose >"output/$name" 2>&1
        status=$?
        counts=$(sed -n 's/^runtime-tools [^:]*: //p' "output/$name")
        runtime_tools="host-$kind-runtime-tools: ${counts:-0 passed, 1 failed, 0 skipped}"
    else
        # shellcheck disable=SC2086
        timeout 900 "$program" --test-threads 2 --nocapture $without >"output/$name" 2>&1
        status=$?
        result=$(grep '^test result: ' "output/$name")
        passed=$(echo "$result" | sed -n 's/.* \([0-9]*\) passed.*/\1/p')
        lost=$(echo "$result" | sed -n 's/.* \([0-9]*\) failed.*/\1/p')
        if [ "$status" -eq 101 ] && [ "${lost:-0}" -gt 0 ] && second_try "$program" "$name"; then
            passed=$((passed + lost)) lost=0 status=0
        fi
        # Those that found nothing to test here said so; those that are left out are filtered.
        empty=$(grep -c '^skipped: ' "output/$name")
        left_out=$(echo "$result" | sed -n 's/.* \([0-9]*\) filtered.*/\1/p')
        # A program that did not come to its end has failed once.
        passed=${passed:-$empty} lost=${lost:-1} left_out=${left_out:-0}
        all_passed=$((all_passed + passed - empty))
        all_failed=$((all_failed + lost))
        all_skipped=$((all_skipped + empty + left_out))
        counts="$((passed - empty)) passed, $lost failed, $((empty + left_out)) skipped"
    fi
    ended=
    [ "$status" -le 1 ] || [ "$status" -eq 101 ] || ended=" (ended with status $status)"
    echo "    $name: ${counts:-no counts}$ended"
    if [ "$status" -ne 0 ]; then
        failed=1
        grep -E '^test .* FAILED$|panicked at|^FAILED' -A 12 "output/$name" | head -n 80
    fi
done
[ "$((all_passed + all_failed + all_skipped))" -eq 0 ] ||
    echo "host-$kind-tests: $all_passed passed, $all_failed failed, $all_skipped skipped"
[ -z "$conformance" ] || echo "$conformance"
[ -z "$runtime_tools" ] || echo "$runtime_tools"
exit "$failed"
