import assert from "node:assert/strict";
import { once } from "node:events";
import {
  closeSync,
  createReadStream,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { connect, createServer, Socket } from "node:net";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { TLSSocket } from "node:tls";
import { Worker } from "node:worker_threads";
import * as native from "#native";
import { hasCode, testFolder } from "./rig.ts";

const open = (path: string): number => openSync(path, native.O_PATH | native.O_DIRECTORY);

test("openat2: stays in the root, refuses what resolve forbids, and names errno and call", async () => {
  await using folder = testFolder();
  symlinkSync("/etc", join(folder.path, "out"));
  writeFileSync(join(folder.path, "f"), "1");
  const root = open(folder.path);
  const inRoot = { flags: native.O_RDONLY, resolve: native.RESOLVE_IN_ROOT };
  closeSync(native.openat2(root, "/../../f", inRoot));
  assert.throws(() => native.openat2(root, "out/passwd", inRoot), { code: "ENOENT", syscall: "openat2", errno: 2 });
  assert.throws(() => native.openat2(root, "out", { flags: 0, resolve: native.RESOLVE_NO_SYMLINKS }), hasCode("ELOOP"));
  assert.throws(() => native.openat2(root, "a\0b", inRoot), hasCode("EINVAL"));
  closeSync(root);
});

test("openat2: names that go up are found while others are renamed without end", async () => {
  await using folder = testFolder();
  mkdirSync(join(folder.path, "d"));
  writeFileSync(join(folder.path, "f"), "1");
  const renaming = `
    const { renameSync, writeFileSync } = require("node:fs");
    const [a, b] = ["a", "b"].map((name) => require("node:worker_threads").workerData + "/" + name);
    writeFileSync(a, "");
    for (;;) renameSync(a, b), renameSync(b, a);`;
  const root = open(folder.path);
  const worker = new Worker(renaming, { eval: true, workerData: folder.path });
  await once(worker, "online");
  try {
    const how = { flags: native.O_RDONLY, resolve: native.RESOLVE_IN_ROOT };
    for (let i = 0; i < 5000; i++) closeSync(native.openat2(root, `${"d/../".repeat(4)}f`, how));
  } finally {
    await worker.terminate();
    closeSync(root);
  }
});

test("inode flags: are set on the inode, and a file system without them says so", async (t) => {
  await using folder = testFolder();
  const fd = openSync(folder.path, native.O_RDONLY | native.O_DIRECTORY);
  const proc = openSync("/proc", native.O_RDONLY | native.O_DIRECTORY);
  assert.throws(() => native.getInodeFlags(proc), hasCode("ENOTTY"));
  assert.throws(() => native.setInodeFlags(proc, 0), hasCode("ENOTTY"));
  const ext4 = 0xef53;
  if (statfsSync(folder.path).type !== ext4) t.skip("no ext4 here");
  else {
    native.setInodeFlags(fd, native.getInodeFlags(fd) | native.FS_TOPDIR_FL);
    assert.equal(native.getInodeFlags(fd) & native.FS_TOPDIR_FL, native.FS_TOPDIR_FL);
  }
  closeSync(proc);
  closeSync(fd);
});

test("files: make, link, rename, own, stamp and remove below a descriptor", async () => {
  await using folder = testFolder();
  const root = open(folder.path);
  native.mkdirat(root, "d", 0o700);
  native.mknodat(root, "null", native.S_IFCHR | 0o600, native.makeDevice(1, 3));
  native.mknodat(root, "big", native.S_IFBLK | 0o600, native.makeDevice(259, 70_000));
  native.symlinkat("target", root, "l");
  native.linkat(root, "l", root, "l2");
  native.renameat2(root, "d", root, "l2", native.RENAME_EXCHANGE);
  assert.equal(native.readlinkat(root, "d").toString(), "target");
  assert.ok(native.isDirectory(native.statx(root, "l2")));
  assert.throws(() => native.renameat2(root, "l", root, "d", native.RENAME_NOREPLACE), hasCode("EEXIST"));
  const big = native.statx(root, "big");
  assert.deepEqual([big.rdevMajor, big.rdevMinor], [259, 70_000]);
  native.fchownat(root, "l", { uid: 4_000_000_000, gid: 1 }, native.AT_SYMLINK_NOFOLLOW);
  native.fchmodat(root, "null", 0o640);
  native.utimensat(root, "null", { seconds: 1, nanoseconds: 2 }, { seconds: -3, nanoseconds: 4 }, 0);
  const node = native.statx(root, "null");
  assert.deepEqual(
    [node.mode & 0o7777, node.mtime, native.statx(root, "l").uid],
    [0o640, { seconds: -3, nanoseconds: 4 }, 4_000_000_000],
  );
  assert.throws(() => native.unlinkat(root, "l2"), hasCode("EISDIR"));
  native.unlinkat(root, "l2", native.AT_REMOVEDIR);
  const list = native.openat2(root, ".", { flags: native.O_RDONLY | native.O_DIRECTORY });
  assert.deepEqual([...native.readDirectory(list)].map((entry) => entry.name.toString()).sort(), [
    "big",
    "d",
    "l",
    "null",
  ]);
  native.syncfs(list);
  for (const fd of [list, root]) closeSync(fd);
});

test("xattrs: by descriptor and by path, bytes as they are", async () => {
  await using folder = testFolder();
  const path = join(folder.path, "f");
  writeFileSync(path, "");
  const fd = openSync(path, "r+");
  const value = Buffer.from([0, 255, 10]);
  native.fsetxattr(fd, "user.a", value);
  native.setxattr(path, "user.b", value);
  native.lsetxattr(path, "user.c", value);
  assert.deepEqual(native.flistxattr(fd).map(String).sort(), ["user.a", "user.b", "user.c"]);
  assert.deepEqual(native.listxattr(path), native.llistxattr(path));
  for (const found of [
    native.fgetxattr(fd, "user.b"),
    native.getxattr(path, "user.c"),
    native.lgetxattr(path, "user.a"),
  ]) {
    assert.deepEqual(found, value);
  }
  native.fremovexattr(fd, "user.a");
  assert.equal(native.fgetxattr(fd, "user.a"), undefined);
  assert.throws(() => native.setxattr(join(folder.path, "none"), "user.a", value), hasCode("ENOENT"));
  closeSync(fd);
});

test("mounts: a detached file system, attached, made read-only, cloned and taken down", async () => {
  await using folder = testFolder();
  const context = native.fsopen("tmpfs");
  native.fsconfigString(context, "size", "1m");
  native.fsconfigFlag(context, "noswap");
  native.fsconfigCreate(context);
  const root = native.fsmount(context, native.MOUNT_ATTR_NOSUID);
  native.mkdirat(root, "d", 0o755);
  native.moveMount(root, native.AT_FDCWD, folder.path);
  assert.ok(statSync(join(folder.path, "d")).isDirectory());
  const clone = native.openTree(root, "", native.OPEN_TREE_CLONE | native.AT_EMPTY_PATH);
  native.mountSetattr(clone, "", native.AT_EMPTY_PATH, { set: native.MOUNT_ATTR_RDONLY });
  assert.throws(() => native.mkdirat(clone, "e", 0o755), hasCode("EROFS"));
  native.mkdirat(root, "e", 0o755);
  native.umount2(folder.path, native.MNT_DETACH);
  assert.throws(() => native.umount2(folder.path), hasCode("EINVAL"));
  native.mount({ source: "tmpfs", target: folder.path, type: "tmpfs", flags: native.MS_NODEV, options: "size=1m" });
  native.umount2(folder.path);
  assert.throws(() => native.fsopen("nosuchfs"), hasCode("ENODEV"));
  for (const fd of [context, root, clone]) closeSync(fd);
});

test("namespaces: into a new network and back", () => {
  const own = openSync("/proc/thread-self/ns/net", "r");
  const before = readFileSync("/proc/thread-self/net/dev", "utf8");
  native.unshare(native.CLONE_NEWNET);
  const inside = readFileSync("/proc/thread-self/net/dev", "utf8");
  native.setns(own, native.CLONE_NEWNET);
  assert.equal(inside.trimEnd().split("\n").length, 3);
  assert.equal(readFileSync("/proc/thread-self/net/dev", "utf8").split("\n").length, before.split("\n").length);
  assert.throws(() => native.setns(own, native.CLONE_NEWNS), hasCode("EINVAL"));
  closeSync(own);
});

test("sockets: UDP over loopback, addresses, options, and a port in use", () => {
  const server = native.socket(native.AF_INET, native.SOCK_DGRAM);
  native.bind(server, native.inetAddress("127.0.0.1", 0));
  const address = native.getsockname(server);
  const client = native.socket(native.AF_INET, native.SOCK_DGRAM);
  native.connect(client, address);
  assert.equal(native.sendto(client, Buffer.from("ping")), 4);
  const buffer = Buffer.alloc(16);
  assert.equal(native.recv(server, buffer), 4);
  assert.equal(buffer.toString("utf8", 0, 4), "ping");
  assert.throws(() => native.recv(server, buffer, native.MSG_DONTWAIT), hasCode("EAGAIN"));
  assert.throws(() => native.bind(client, address), hasCode("EINVAL"));
  const other = native.socket(native.AF_INET, native.SOCK_DGRAM);
  assert.throws(() => native.bind(other, address), hasCode("EADDRINUSE"));
  const listener = native.socket(native.AF_INET6, native.SOCK_STREAM);
  native.setsockopt(listener, native.SOL_SOCKET, native.SO_REUSEADDR, 1);
  assert.equal(native.getsockopt(listener, native.SOL_SOCKET, native.SO_REUSEADDR), 1);
  native.bind(listener, native.inetAddress("::1", 0));
  native.listen(listener, 1);
  assert.ok(native.portOf(native.getsockname(listener)) > 0);
  for (const fd of [server, client, other, listener]) closeSync(fd);
});

test("descriptors: one that is on its way holds what it stands for open; no connection, no descriptor", async () => {
  await using folder = testFolder();
  const path = join(folder.path, "s");
  const server = createServer().listen(path);
  await once(server, "listening");
  const client = connect(path);
  const [peer] = await once(server, "connection");
  server.close();
  const fd = native.descriptorOf(client) ?? -1;
  const pipe = native.pipe2();
  assert.equal(native.sendDescriptor(fd, Buffer.from("with it"), pipe.writeFd), 7);
  closeSync(pipe.writeFd);
  const end = text(createReadStream("", { fd: pipe.readFd }));
  assert.equal(await Promise.race([end, once(peer, "data").then(String)]), "with it");
  // Node reads without taking what comes along, and with that it is closed.
  assert.equal(await end, "");
  assert.throws(() => native.sendDescriptor(fd, Buffer.from("x"), 99_999), hasCode("EBADF"));
  assert.equal(native.descriptorOf(new PassThrough()), undefined);
  assert.equal(native.descriptorOf(new TLSSocket(new Socket())), undefined);
  peer.destroy();
  client.destroy();
  await once(client, "close");
  assert.equal(native.descriptorOf(client), undefined);
});

test("netlink: a bound socket has a port id", () => {
  const fd = native.socket(native.AF_NETLINK, native.SOCK_RAW, native.NETLINK_ROUTE);
  native.bind(fd, native.netlinkAddress());
  assert.equal(native.getsockname(fd).length, 12);
  closeSync(fd);
});

test("pipes and locks", async () => {
  await using folder = testFolder();
  const { readFd, writeFd } = native.pipe2();
  native.setPipeSize(writeFd, 1 << 16);
  writeSync(writeFd, "x");
  const byte = Buffer.alloc(1);
  assert.equal(readSync(readFd, byte), 1);
  mkdirSync(join(folder.path, "d"));
  const [one, two] = [openSync(join(folder.path, "lock"), "w"), openSync(join(folder.path, "lock"), "w")];
  native.flock(one, native.LOCK_EX | native.LOCK_NB);
  assert.throws(() => native.flock(two, native.LOCK_EX | native.LOCK_NB), hasCode("EAGAIN"));
  for (const fd of [readFd, writeFd, one, two]) closeSync(fd);
});
