import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import Sqlite from "better-sqlite3";
import { MNT_DETACH, MS_RDONLY, mount, umount2 } from "#native";
import { openAt, testFolder } from "./rig.ts";

/** A file system mounted on a folder's data root. */
function mounted(folder: string, type: string, options = "", flags = 0): Disposable {
  const target = join(folder, "data");
  mkdirSync(target);
  mount({ source: "none", target, type, options, flags });
  return { [Symbol.dispose]: () => umount2(target, MNT_DETACH) };
}

test("data root: one on which no overlayfs can lie is refused in words, and nothing is left mounted", async () => {
  await using folder = testFolder();
  const { path } = folder;
  for (const name of ["lower", "upper", "work"]) mkdirSync(join(path, name));
  using _ = mounted(path, "overlay", `lowerdir=${path}/lower,upperdir=${path}/upper,workdir=${path}/work`);
  const words =
    /^the file system of .*\/data\/snapshots cannot hold containers: no overlayfs on it \(mount .*: invalid/;
  await assert.rejects(openAt(path), { message: words });
  await assert.rejects(openAt(path), { message: words });
  assert.deepEqual(readdirSync(join(path, "data/snapshots")), []);
});

test("data root: a file system without extended attributes is refused", async () => {
  await using folder = testFolder();
  using _ = mounted(folder.path, "ramfs");
  await assert.rejects(openAt(folder.path), {
    message: /no overlayfs on it \(setxattr .*: operation not supported\)$/,
  });
});

test("data root: a read-only one is refused for that reason", async () => {
  await using folder = testFolder();
  using _ = mounted(folder.path, "tmpfs", "", MS_RDONLY);
  await assert.rejects(openAt(folder.path), { code: "EROFS" });
});

test("data root: what a newer engine has written is refused, and is not touched", async () => {
  await using folder = testFolder();
  await (await openAt(folder.path))[Symbol.asyncDispose]();
  const setVersion = (change: number) => {
    const database = new Sqlite(join(folder.path, "data/engine.db"));
    const version = Number(database.pragma("user_version", { simple: true }));
    database.pragma(`user_version = ${version + change}`);
    database.close();
    return version;
  };
  const known = setVersion(1);
  const words = `engine.db has version ${known + 1}, this minidockd knows ${known}: use a newer one`;
  await assert.rejects(openAt(folder.path), { message: words });
  setVersion(-1);
  await (await openAt(folder.path))[Symbol.asyncDispose]();
});
