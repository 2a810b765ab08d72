# Runs in the virtual machine (test/vm/boot): suites of test/runtime on a pure cgroup v2 host with Debian's own kernel, with
# minirun, and the part about limits with Debian's runc too, which must agree. SUITES names others.
echo # the BIOS has left its escape codes on this line
cd /work
mount -t securityfs securityfs /sys/kernel/security
# RUNTIME PATTERN SUITE…: one process for all of them, since its start takes longest.
suites() {
    runtime=$1 pattern=$2
    shift 2
    RUNTIME=$runtime node --test-reporter=tap --test-timeout=60000 --test-name-pattern="$pattern" --input-type=module \
        -e 'for (const name of process.argv.slice(1)) await import(`/work/test/runtime/${name}.test.ts`)' "$@" >/tmp/out 2>&1
    sed -n -E "s/^((not )?ok) [0-9]+ (.*)/\1 $(basename "$runtime") \3/p; /^not ok/,/^  \.\.\./p" /tmp/out
    echo "# $(basename "$runtime"): $(grep -E '^# (pass|fail|skipped) ' /tmp/out | tr -d '#\n')"
}
suites /work/runtime-native/build/minirun . ${SUITES:-launcher-cgroup launcher-labels}
[ -n "$SUITES" ] || suites runc '^(resources|update|devices|exec --cgroup):' launcher-cgroup
echo "# $(cut -d' ' -f1 /proc/uptime) s"
