# Runs in the virtual machine (test/vm/boot): suites of test/runtime on a pure cgroup v2 host with Debian's own kernel, with
# minirun, and the part about limits with Debian's runc too, which must agree. SUITES names others.
echo # the BIOS has left its escape codes on this line
cd /work
mount -t securityfs securityfs /sys/kernel/security
mkdir -p /root/.cache && chmod 755 /root
suite() {
    RUNTIME=$1 node --test-reporter=tap --test-timeout=60000 ${3:+--test-name-pattern="$3"} "test/runtime/$2.test.ts" >/tmp/out 2>&1
    sed -n -E "s/^((not )?ok) [0-9]+ (.*)/\1 $(basename "$1") \3/p; /^not ok/,/^  \.\.\./p" /tmp/out
    echo "# $(basename "$1") $2: $(grep -E '^# (pass|fail|skipped) ' /tmp/out | tr -d '#\n')"
}
for name in ${SUITES:-launcher-cgroup launcher-labels}; do suite /work/runtime-native/build/minirun "$name"; done
[ -n "$SUITES" ] || suite runc launcher-cgroup '^(resources|update|devices|exec --cgroup):'
echo "# $(cut -d' ' -f1 /proc/uptime) s"
