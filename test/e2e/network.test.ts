import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { lineServer } from "#test/busybox";
import { lineOf } from "#test/command";
import { type Daemon, packageRoot, startDaemon } from "#test/daemon";
import { freePort } from "#test/network-place";

let daemon: Daemon;
before(async () => {
  daemon = await startDaemon();
});
after(() => daemon[Symbol.asyncDispose]());

const inspect = (name: string, format: string) => daemon.ok("inspect", "-f", format, name);
const address = (name: string) => inspect(name, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}");

async function serve(name: string, line: string, ...flags: string[]): Promise<void> {
  await daemon.ok("run", "-d", "--name", name, ...flags, "busybox", "sh", "-c", lineServer(line));
  await lineOf(daemon.spawnDocker(["logs", "-f", name]), /up/);
}
const ask = (host: string, port: number | string) =>
  daemon.inNetwork("timeout", "5", "busybox", "nc", host, String(port));

test("bridge: containers reach each other and the host by address", async () => {
  await serve("s1", "hello");
  const ip = await address("s1");
  assert.match(ip, /^10\.90\.0\.\d+$/);
  assert.equal(await daemon.ok("run", "--rm", "busybox", "nc", ip, "80"), "hello");
  assert.equal(await ask(ip, 80), "hello");
  await daemon.ok("rm", "-f", "s1");
});

test("publish: TCP from loopback, from the host's address and from another container", async () => {
  const port = await freePort(daemon.network);
  await serve("web", "page", "-p", `${port}:80`);
  assert.equal(await ask("127.0.0.1", port), "page");
  assert.equal(await ask("10.90.0.1", port), "page");
  assert.equal(await daemon.ok("run", "--rm", "busybox", "nc", "10.90.0.1", String(port)), "page");
  assert.equal(await daemon.ok("exec", "web", "nc", "10.90.0.1", String(port)), "page");
  assert.match(await daemon.ok("port", "web"), new RegExp(`80/tcp -> 0\\.0\\.0\\.0:${port}`));
  await daemon.ok("rm", "-f", "web");
});

/** busybox has no UDP server: the machine's node and its libraries, shown read-only, are one. */
const udpServer = [
  ...["/lib", "/lib64", "/usr/lib"].flatMap((folder) => ["-v", `${folder}:${folder}:ro`]),
  ...["-v", `${packageRoot}/node_modules/node/bin/node:/node:ro`, "busybox", "/node", "-e"],
  `const s = require("dgram").createSocket("udp4");
   s.on("message", (text, from) => { console.log("got " + text); s.send("answer", from.port, from.address); });
   s.bind(53, () => console.log("up"));`,
];
const udpClient = `const s = require("dgram").createSocket("udp4");
  s.on("message", (text) => { console.log(String(text)); s.close(); });
  s.send("question", +process.argv[1], "127.0.0.1");`;

test("publish: UDP, there and back", async () => {
  const port = await freePort(daemon.network);
  await daemon.ok("run", "-d", "--name", "udp", "-p", `${port}:53/udp`, ...udpServer);
  await lineOf(daemon.spawnDocker(["logs", "-f", "udp"]), /up/);
  assert.equal(await daemon.inNetwork("timeout", "5", process.execPath, "-e", udpClient, String(port)), "answer");
  assert.match(await daemon.ok("logs", "udp"), /got question/);
  await daemon.ok("rm", "-f", "udp");
});

test("publish: a port in use is refused, and nothing is left of the container", async () => {
  const port = await freePort(daemon.network);
  await daemon.ok("run", "-d", "--name", "owner", "-p", `${port}:80`, "busybox", "sleep", "100");
  const { status, stderr } = await daemon.docker([
    "run",
    "--rm",
    "--name",
    "late",
    "-p",
    `${port}:80`,
    "busybox",
    "true",
  ]);
  assert.equal(status, 125);
  assert.match(stderr, /Bind for 0\.0\.0\.0:\d+ failed: port is already allocated/);
  assert.equal(await daemon.ok("ps", "-aq", "-f", "name=late"), "");
  await daemon.ok("rm", "-f", "owner");
  await daemon.ok("run", "--rm", "-p", `${port}:80`, "busybox", "true");
});

test("publish: a random port for each exposed one", async () => {
  await daemon.ok("run", "-d", "--name", "random", "-P", "--expose", "80", "busybox", "sleep", "100");
  assert.match(await daemon.ok("port", "random", "80"), /^0\.0\.0\.0:\d+/);
  await daemon.ok("rm", "-f", "random");
});

test("etc: hosts, hostname and resolv.conf are the container's", async () => {
  const script = "cat /etc/hosts /etc/hostname; grep -c nameserver /etc/resolv.conf";
  const text = await daemon.ok(
    "run",
    "--rm",
    "--hostname",
    "me",
    "--add-host",
    "other:1.2.3.4",
    "busybox",
    "sh",
    "-c",
    script,
  );
  assert.match(text, /^127\.0\.0\.1\tlocalhost$/m);
  assert.match(text, /^1\.2\.3\.4\tother$/m);
  assert.match(text, /^10\.90\.0\.\d+\tme$/m);
  assert.match(text, /^me$/m);
  const dns = ["--dns", "9.9.9.9", "--dns-search", "example.org", "--dns-option", "ndots:2"];
  const resolv = await daemon.ok("run", "--rm", ...dns, "busybox", "cat", "/etc/resolv.conf");
  assert.match(resolv, /nameserver 9\.9\.9\.9/);
  assert.match(resolv, /search example\.org/);
  assert.match(resolv, /options ndots:2/);
});

test("NetworkDisabled: a namespace with a loopback and nothing of the engine's, even where the host's was asked for", async () => {
  const body = { Image: "busybox", Cmd: ["sleep", "1000"], NetworkDisabled: true, HostConfig: { NetworkMode: "host" } };
  await daemon.http.post("/containers/create?name=alone", body);
  await daemon.ok("start", "alone");
  assert.equal(
    await daemon.ok("exec", "alone", "sh", "-c", "ls /sys/class/net; grep -c alone /etc/hosts || true"),
    "lo\n0",
  );
  const { NetworkSettings, HostsPath } = (await daemon.http.get("/containers/alone/json")).json() as {
    NetworkSettings: Record<string, unknown>;
    HostsPath: string;
  };
  assert.deepEqual([NetworkSettings.SandboxID, NetworkSettings.SandboxKey, HostsPath], ["", "", ""]);
  const { status, text } = await daemon.http.post("/networks/bridge/connect", { Container: "alone" });
  assert.match(`${status} ${text}`, /^404 .*network sandbox for container [0-9a-f]{64} not found/);
  await daemon.ok("rm", "-f", "alone");
});

test("networks: names resolve, and networks do not meet", async () => {
  await daemon.ok("network", "create", "n1");
  await daemon.ok("network", "create", "n2");
  await serve("one", "first", "--network", "n1", "--network-alias", "alias");
  assert.equal(await daemon.ok("run", "--rm", "--network", "n1", "busybox", "nc", "one", "80"), "first");
  assert.equal(await daemon.ok("run", "--rm", "--network", "n1", "busybox", "nc", "alias", "80"), "first");
  const ip = await address("one");
  const stranger = await daemon.docker(["run", "--rm", "--network", "n2", "busybox", "nc", "-w", "1", ip, "80"]);
  assert.notEqual(stranger.status, 0);
  await daemon.ok("run", "-d", "--name", "both", "--network", "n2", "busybox", "sleep", "100");
  await daemon.ok("network", "connect", "n1", "both");
  assert.equal(await daemon.ok("exec", "both", "nc", "one", "80"), "first");
  await daemon.ok("network", "disconnect", "n1", "both");
  const { stderr } = await daemon.docker(["network", "rm", "n1"]);
  assert.match(stderr, /network n1 has active endpoints|has active endpoints/);
  await daemon.ok("rm", "-f", "one", "both");
  await daemon.ok("network", "rm", "n1", "n2");
});

test("firewall: rules of others are left alone", async () => {
  await daemon.inNetwork(
    "nft",
    "add table inet stranger; add chain inet stranger keep { type filter hook input priority 0; }",
  );
  await daemon.ok("run", "--rm", "-p", "8321:80", "busybox", "true");
  assert.match(await daemon.inNetwork("nft", "list", "tables"), /table inet stranger/);
  await daemon.inNetwork("nft", "delete", "table", "inet", "stranger");
});

test("network create: IPAM options are null where nobody gave any, as dockerd keeps them", async () => {
  for (const [IPAM, expected] of [
    [{ Config: null }, "null"],
    [{ Options: {} }, "{}"],
    [{ Options: { a: "b" } }, '{"a":"b"}'],
  ] as const) {
    assert.equal((await daemon.http.post("/networks/create", { Name: "ipam-options", IPAM })).status, 201);
    assert.equal(await daemon.ok("network", "inspect", "-f", "{{json .IPAM.Options}}", "ipam-options"), expected);
    await daemon.ok("network", "rm", "ipam-options");
  }
});
