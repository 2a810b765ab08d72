import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startDaemon } from "#test/daemon";

const spec = (folder: string) => ({
  cdiVersion: "0.7.0",
  kind: "vendor.com/device",
  containerEdits: { env: ["FROM=spec"] },
  devices: [
    {
      name: "whole",
      containerEdits: {
        env: ["FROM=device", "ONE=1"],
        deviceNodes: [{ path: "/dev/nothing", hostPath: "/dev/null", fileMode: 0o640, gid: 8 }],
        mounts: [{ hostPath: folder, containerPath: "/specs", options: ["bind", "ro"] }],
        hooks: [{ hookName: "startContainer", path: "/bin/touch", args: ["touch", "/hooked"] }],
        additionalGids: [77],
      },
    },
  ],
});

test("cdi: a container has what the specification of its device says, and info names the device", async () => {
  const folder = mkdtempSync("/var/tmp/mdt-cdi-");
  await using undo = new AsyncDisposableStack();
  undo.defer(() => rmSync(folder, { recursive: true }));
  const daemon = undo.use(await startDaemon({ args: ["--cdi-spec-dir", folder] }));
  writeFileSync(join(folder, "device.json"), JSON.stringify(spec(folder)));
  writeFileSync(join(folder, "broken.yaml"), "a: [");

  const script = "echo $FROM $ONE; stat -c '%A %g %t,%T' /dev/nothing; ls /specs /hooked; touch /specs/x; id -G";
  const seen = await daemon.docker([
    ...["run", "--rm", "-e", "ONE=mine", "--device", "vendor.com/device=whole", "busybox", "sh", "-c", script],
  ]);
  assert.equal(seen.stdout, "device 1\ncrw-r----- 8 1,3\n/hooked\n\n/specs:\nbroken.yaml\ndevice.json\n0 77\n");
  assert.match(seen.stderr, /\/specs\/x: Read-only file system/);

  const info = JSON.parse(await daemon.ok("info", "-f", "{{json .}}"));
  assert.deepEqual(info.CDISpecDirs, [folder]);
  assert.deepEqual(info.DiscoveredDevices, [{ Source: "cdi", ID: "vendor.com/device=whole" }]);
  assert.match(info.Warnings.at(-1), /^CDI: Error associated with spec file .*\/broken\.yaml: failed to load CDI Spec/);

  const other = await daemon.docker(["run", "--device", "vendor.com/device=other", "busybox"]);
  assert.equal(other.status, 125);
  assert.match(other.stderr, /CDI device injection failed: unresolvable CDI devices vendor\.com\/device=other\n/);
});
