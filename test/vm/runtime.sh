# Runs in the virtual machine (test/vm/boot): the suites of test/runtime on a pure cgroup v2 host with Debian's own kernel, with
# minirun and with Debian's runc.
echo # the BIOS has left its escape codes on this line
cd /work
failed=0
for runtime in minirun runc; do
    echo "# $runtime"
    for suite in launcher-cgroup; do
        RUNTIME=$([ $runtime = runc ] && echo runc || echo /work/runtime-native/build/minirun) \
            node --test-reporter=tap --test-timeout=60000 test/runtime/$suite.test.ts >/tmp/out 2>&1 || failed=1
        grep -E '^(not )?ok |duration_ms|^ {2}error: |^ {4}.*[Ee]rr|^ +(expected|actual):' /tmp/out
    done
    cut -d' ' -f1 /proc/uptime
done
exit $failed
