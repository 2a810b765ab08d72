import assert from "node:assert/strict";
import { test } from "node:test";
import type { HostInfo } from "../../src/engine/spec/host-info.ts";
import { systemWarnings } from "../../src/engine/system/warnings.ts";
import { recordingHost } from "./create-fixtures.ts";

const plain = { openAddresses: [], seccompProfile: "builtin" };
const hostWith = (cgroup: Partial<HostInfo["cgroup"]>): HostInfo => ({
  ...recordingHost,
  cgroup: { ...recordingHost.cgroup, ...cgroup },
});

test("info: nothing is warned of where all limits can be held, as far as the kernel still has them", () => {
  assert.deepEqual(systemWarnings(plain, recordingHost), []);
});

test("info: limits that the cgroups cannot hold are named in the words of their version", () => {
  const lacks = { swapLimit: false, oomKillDisable: false, blkioWeight: false, blkioReadBps: false };
  assert.deepEqual(systemWarnings(plain, hostWith(lacks)), [
    "WARNING: No swap limit support",
    "WARNING: No oom kill disable support",
    "WARNING: No blkio throttle.read_bps_device support",
  ]);
  assert.deepEqual(systemWarnings(plain, hostWith({ ...lacks, version: 2, blkioWeightDevice: true })), [
    "WARNING: No swap limit support",
    "WARNING: No io.weight support",
    "WARNING: No io.max (rbps) support",
  ]);
});

test("info: an address that serves everybody is named first, another seccomp profile last", () => {
  const facts = { openAddresses: [{ address: "127.0.0.1:2375", isEncrypted: false }], seccompProfile: "unconfined" };
  const warnings = systemWarnings(facts, { ...recordingHost, isIpv4ForwardingDisabled: true });
  assert.match(
    warnings?.[0] ?? "",
    /^\[DEPRECATION NOTICE\]: API is accessible on http:\/\/127\.0\.0\.1:2375 without encryption\.\n/,
  );
  assert.deepEqual(warnings?.slice(1), [
    "WARNING: IPv4 forwarding is disabled",
    "WARNING: daemon is not using the default seccomp profile",
  ]);
});
