import assert from "node:assert/strict";
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { goFileMode } from "../../src/engine/container/files/archive.ts";
import { followLinks, lstatBelow } from "../../storage/foreign/root-path.ts";

class Root implements Disposable {
  readonly folder = mkdtempSync("/var/tmp/tools-root-");
  readonly fd: number;
  constructor() {
    mkdirSync(join(this.folder, "etc"));
    writeFileSync(join(this.folder, "etc", "passwd"), "x");
    symlinkSync("passwd", join(this.folder, "etc", "near"));
    symlinkSync("/etc/passwd", join(this.folder, "far"));
    symlinkSync("../../../../etc/passwd", join(this.folder, "etc", "out"));
    symlinkSync("/gone/../missing", join(this.folder, "broken"));
    symlinkSync("etc", join(this.folder, "folder"));
    symlinkSync("loop", join(this.folder, "loop"));
    this.fd = openSync(this.folder, "r");
  }
  [Symbol.dispose](): void {
    closeSync(this.fd);
    rmSync(this.folder, { recursive: true });
  }
}

test("paths: links lead to what they mean inside the root, however far they climb", () => {
  using root = new Root();
  for (const path of ["/etc/passwd", "/etc/near", "far", "/etc/out", "/folder/../etc/./out", "//folder/near"]) {
    assert.equal(followLinks(root.fd, path, { allowsMissing: false }).path, "/etc/passwd", path);
  }
  assert.equal(followLinks(root.fd, "/../..", { allowsMissing: false }).path, "/");
});

test("paths: a broken link is followed as far as it goes, or refused", () => {
  using root = new Root();
  assert.equal(followLinks(root.fd, "/broken", { allowsMissing: true }).path, "/missing");
  assert.throws(() => followLinks(root.fd, "/broken", { allowsMissing: false }), { code: "ENOENT" });
});

test("paths: a file is no folder, and a loop has no end", () => {
  using root = new Root();
  assert.throws(() => followLinks(root.fd, "/etc/passwd/x", { allowsMissing: true }), { code: "ENOTDIR" });
  assert.throws(() => followLinks(root.fd, "/loop", { allowsMissing: true }), { code: "ELOOP" });
});

test("paths: lstat shows the link itself, and what it leads to behind a slash", () => {
  using root = new Root();
  assert.equal(goFileMode(lstatBelow(root.fd, "/folder").mode), 2 ** 27 + 0o777);
  assert.equal(goFileMode(lstatBelow(root.fd, "/folder/").mode), 2 ** 31 + 0o755);
  assert.throws(() => lstatBelow(root.fd, "/etc/passwd/"), { code: "ENOTDIR" });
});

test("paths: modes are Go's", () => {
  // Recorded from dockerd: /tmp, /etc/passwd, a symlink; then set-id bits, a sticky folder and a character device by os.FileMode.
  assert.equal(goFileMode(0o040755), 2147484141);
  assert.equal(goFileMode(0o100644), 420);
  assert.equal(goFileMode(0o120777), 134218239);
  assert.equal(goFileMode(0o106755), 2 ** 23 + 2 ** 22 + 0o755);
  assert.equal(goFileMode(0o041777), 2 ** 31 + 2 ** 20 + 0o777);
  assert.equal(goFileMode(0o020666), 2 ** 26 + 2 ** 21 + 0o666);
});
