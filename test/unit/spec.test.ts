import assert from "node:assert/strict";
import test from "node:test";
import { parseId } from "#base/ids";
import type { Device, Spec } from "#runtime";
import type { MountRecord } from "#storage";
import { injectionOf } from "../../src/engine/cdi/injection.ts";
import { planMounts } from "../../src/engine/container/create/mounts.ts";
import { adaptHostConfig, settle } from "../../src/engine/container/create/prepare.ts";
import { checkRequest } from "../../src/engine/container/validate/create.ts";
import { specOf } from "../../src/engine/spec/build.ts";
import { withEngineMounts } from "../../src/engine/spec/engine-mounts.ts";
import type { HostDevices } from "../../src/engine/spec/host-devices.ts";
import type { ResolvedMount } from "../../src/engine/spec/mounts.ts";
import { toResolvedMount } from "../../src/engine/volume/resolve.ts";
import {
  daemonDefaults,
  imageConfig,
  type RecordedVariant,
  recordedFilters,
  recordedVariants,
  recordingHost,
  requestOf,
  variants,
} from "./create-fixtures.ts";

const dataRoot = "/var/lib/peers/specpeer";
const noInjection = await injectionOf([], undefined);

const passwd = `root:x:0:0:root:/root:/bin/sh
bob:x:1000:1001:Bob:/home/bob:/bin/sh
big:x:4294967297:0::/:/bin/sh
`;
const group = "root:x:0:\nwheel:x:10:bob\nstaff:x:20:bob,eve\nbob:x:1001:\naudio:x:29:\n";
const files: Readonly<Record<string, string>> = { "/etc/passwd": passwd, "/etc/group": group };
const readFile = (path: string): Buffer | undefined =>
  files[path] === undefined ? undefined : Buffer.from(files[path]);

const zero: Device = { type: "c", path: "/dev/zero", major: 1, minor: 5, fileMode: 0o666, uid: 0, gid: 0 };
const tun: Device = { type: "c", path: "/dev/net/tun", major: 10, minor: 200, fileMode: 0o600, uid: 0, gid: 0 };

/** The nodes of the recording machine; all of /dev is taken from the recording itself. */
function devicesOf(recorded: Spec): HostDevices {
  return {
    mapped: new Map([
      ["/dev/zero", [zero]],
      ["/dev/net", [tun]],
    ]),
    resolved: (path) => path,
    all: (recorded.linux?.devices ?? []).filter((device) => device.path !== "/dev/nought"),
    block: new Map([["/dev/zero", { major: 1, minor: 5 }]]),
  };
}

/** Volumes lie where dockerd had put them. */
function mountsOf(variant: RecordedVariant, planned: readonly MountRecord[]): MountRecord[] {
  const asked = planned.map((mount) => {
    const shown = variant.running.Mounts.find(({ Destination }) => Destination === mount.destination);
    return mount.type === "volume" ? { ...mount, source: String(shown?.Source) } : mount;
  });
  const declared = variant.running.Mounts.filter(
    ({ Destination }) => !planned.some((mount) => mount.destination === Destination),
  ).map(
    ({ Name, Source, Destination }): MountRecord => ({
      type: "volume",
      name: String(Name),
      source: String(Source),
      destination: String(Destination),
      driver: "local",
      mode: "",
      rw: true,
      propagation: "",
      isAnonymous: true,
      copyUp: true,
      spec: null,
    }),
  );
  return [...asked, ...declared];
}

function build(name: string, variant: RecordedVariant, recorded: Spec): Spec {
  const body = variants[name] ?? {};
  const surroundings = {
    host: recordingHost,
    defaults: daemonDefaults,
    exists: () => true,
    findContainer: () => undefined,
  };
  const checked = checkRequest(requestOf(body).request, surroundings);
  const settled = settle(
    { ...checked, hostConfig: adaptHostConfig(checked.hostConfig, surroundings) },
    imageConfig(String(body.Image)),
    surroundings,
  );
  const id = parseId(variant.answer.body.Id);
  const mounts = mountsOf(variant, planMounts(settled.hostConfig, dataRoot));
  const Hostname = String(variant.running.Config.Hostname);
  const container = { ...settled, id, mounts, config: { ...settled.config, Hostname } };
  const folder = `${dataRoot}/containers/${id}`;
  const networkFiles = {
    hosts: `${folder}/hosts`,
    hostname: `${folder}/hostname`,
    resolvConf: `${folder}/resolv.conf`,
  };
  const resolved = mounts.map((mount) => toResolvedMount(mount, mount.source));
  const { IpcMode } = settled.hostConfig;
  const memory: ResolvedMount[] = ["host", "shareable"].includes(IpcMode)
    ? [
        {
          type: "bind",
          source: IpcMode === "host" ? "/dev/shm" : `${folder}/mounts/shm`,
          destination: "/dev/shm",
          isWritable: true,
          propagation: "rprivate",
        },
      ]
    : [];
  return specOf({
    container,
    linkEnvironment: [],
    networkNamespace: undefined,
    mounts: [...memory, ...withEngineMounts(container, networkFiles, resolved)],
    readFile,
    host: recordingHost,
    devices: devicesOf(recorded),
    injection: noInjection,
    mountinfo: "1 0 8:1 / / rw shared:1 - ext4 /dev/sda rw",
    findContainer: () => undefined,
    cgroupParent: "/peer-specpeer",
    initPath: "/usr/bin/docker-init",
  });
}

/** What differs by design: dockerd says some things twice or in Go's random order, and leaves HOME to the runtime. */
function normalized(spec: Spec, name: string): unknown {
  const copy: Spec = structuredClone(spec);
  const { process, linux } = copy;
  if (process?.env !== undefined) {
    process.env = process.env.filter((entry) => !entry.startsWith("HOME="));
    // A bare name says nothing to a process; runc refuses it.
    process.env = process.env.filter((entry) => entry.includes("="));
  }
  process?.user.additionalGids?.sort((a, b) => a - b);
  if (linux?.resources?.devices !== undefined) {
    const rules = new Map(linux.resources.devices.map((rule) => [JSON.stringify(rule), rule]));
    linux.resources.devices = [...rules.values()];
  }
  copy.mounts?.sort((a, b) => (a.destination < b.destination ? -1 : 1));
  copy.root = { ...copy.root, path: "rootfs" };
  if (linux !== undefined && typeof linux.seccomp === "string") {
    const filter = recordedFilters[String(linux.seccomp)];
    Object.assign(linux, { seccomp: filter });
  }
  // AF_ALG is refused, as by dockerd since 29.4.
  const filter = linux?.seccomp;
  if (filter?.syscalls !== undefined) filter.syscalls = filter.syscalls.filter(({ names }) => `${names}` !== "socket");
  for (const rule of filter?.syscalls ?? []) rule.names.sort();
  linux?.namespaces?.sort((a, b) => (a.type < b.type ? -1 : 1));
  linux?.devices?.sort((a, b) => (a.path < b.path ? -1 : 1));
  return JSON.parse(JSON.stringify({ name, ...copy }));
}

for (const [name, variant] of Object.entries(recordedVariants)) {
  const recorded = variant.spec as Spec | null;
  test(`spec: "${name}" runs as under dockerd`, { skip: recorded === null && "dockerd could not start it" }, () => {
    if (recorded === null) return;
    assert.deepEqual(normalized(build(name, variant, recorded), name), normalized(recorded, name));
  });
}
