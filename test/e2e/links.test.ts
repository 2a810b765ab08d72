import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Daemon, startDaemon } from "#test/daemon";

let daemon: Daemon;
before(async () => {
  daemon = await startDaemon();
});
after(() => daemon[Symbol.asyncDispose]());

/** A running child with ports and an environment, and a running container that is linked to it as "kid". */
async function family(name: string): Promise<{ child: string; parent: string; hostname: string }> {
  const [child, parent] = [`${name}-child`, `${name}-parent`];
  const ports = ["--expose", "80", "--expose", "81", "--expose", "53/udp"];
  await daemon.ok("run", "-d", "--name", child, ...ports, "-e", "A=b", "busybox", "sleep", "1000");
  await daemon.ok("run", "-d", "--name", parent, "--link", `${child}:kid`, "busybox", "sleep", "1000");
  const hostname = await daemon.ok("inspect", "-f", "{{.Config.Hostname}}", child);
  return { child, parent, hostname };
}

const addressOf = (name: string) => daemon.ok("inspect", "-f", "{{.NetworkSettings.IPAddress}}", name);
const names = async (name: string): Promise<string> => {
  const id = await daemon.ok("inspect", "-f", "{{.Id}}", name);
  return daemon.ok("ps", "-a", "--no-trunc", "--format", "{{.Names}}", "--filter", `id=${id}`);
};

test("links: the container finds the child in /etc/hosts and in its environment, also in an exec", async () => {
  const { child, parent, hostname } = await family("find");
  const address = await addressOf(child);
  assert.equal(await daemon.ok("exec", parent, "grep", "kid", "/etc/hosts"), `${address}\tkid ${hostname} ${child}`);
  const environment = await daemon.ok("exec", parent, "sh", "-c", "tr '\\0' '\\n' </proc/1/environ | grep KID");
  const expected = [
    `KID_PORT=tcp://${address}:80`,
    `KID_PORT_80_TCP=tcp://${address}:80`,
    `KID_PORT_80_TCP_ADDR=${address}`,
    "KID_PORT_80_TCP_PORT=80",
    "KID_PORT_80_TCP_PROTO=tcp",
    `KID_PORT_81_TCP=tcp://${address}:81`,
    `KID_PORT_81_TCP_ADDR=${address}`,
    "KID_PORT_81_TCP_PORT=81",
    "KID_PORT_81_TCP_PROTO=tcp",
    `KID_PORT_53_UDP=udp://${address}:53`,
    `KID_PORT_53_UDP_ADDR=${address}`,
    "KID_PORT_53_UDP_PORT=53",
    "KID_PORT_53_UDP_PROTO=udp",
    `KID_PORT_80_TCP_START=tcp://${address}:80`,
    "KID_PORT_80_TCP_PORT_START=80",
    `KID_PORT_80_TCP_END=tcp://${address}:81`,
    "KID_PORT_80_TCP_PORT_END=81",
    `KID_NAME=/${parent}/kid`,
    "KID_ENV_A=b",
  ];
  assert.deepEqual(environment.split("\n"), expected);
  assert.equal(await daemon.ok("exec", parent, "sh", "-c", "env | grep KID_NAME"), `KID_NAME=/${parent}/kid`);
});

test("links: the link is a name of the child, and follows renames of both", async () => {
  const { child, parent } = await family("name");
  const links = () => daemon.ok("inspect", "-f", "{{json .HostConfig.Links}}", parent);
  assert.equal(await links(), `["/${child}:/${parent}/kid"]`);
  assert.equal(await names(child), `${child},${parent}/kid`);
  assert.equal(await daemon.ok("inspect", "-f", "{{.Name}}", `${parent}/kid`), `/${child}`);
  await daemon.ok("rename", child, "name-other");
  assert.equal(await links(), `["/name-other:/${parent}/kid"]`);
  await daemon.ok("rename", parent, "name-vater");
  assert.equal(await names("name-other"), "name-other,name-vater/kid");
});

test("links: a child that comes back elsewhere is found there", async () => {
  const { child, parent, hostname } = await family("move");
  const before = await addressOf(child);
  await daemon.ok("stop", "-t0", child);
  await daemon.ok("run", "-d", "--name", "move-filler", "busybox", "sleep", "1000");
  await daemon.ok("start", child);
  const now = await addressOf(child);
  assert.notEqual(now, before);
  assert.equal(await daemon.ok("exec", parent, "grep", "kid", "/etc/hosts"), `${now}\tkid ${hostname} ${child}`);
});

test("links: rm --link takes the names away and nothing else", async () => {
  const { child, parent } = await family("cut");
  await daemon.ok("rm", "--link", `/${parent}/kid`);
  assert.equal(await names(child), child);
  assert.equal(await daemon.ok("inspect", "-f", "{{json .HostConfig.Links}}", parent), "null");
  assert.equal((await daemon.docker(["exec", parent, "grep", "kid", "/etc/hosts"])).status, 1);
  const refused = await daemon.docker(["rm", "--link", parent]);
  assert.match(refused.stderr, /Conflict, cannot remove the default link name of the container/);
});

test("links: a container does not start without its child, nor is made without it", async () => {
  const { child, parent } = await family("miss");
  await daemon.ok("stop", "-t0", child, parent);
  const { stderr } = await daemon.docker(["start", parent]);
  assert.match(stderr, new RegExp(`^Error response from daemon: Cannot link to a non running container: /${child} AS`));
  const { stderr: unknown } = await daemon.docker(["create", "--link", "ghost:x", "busybox"]);
  assert.match(unknown, /daemon: could not get container for ghost: No such container: ghost/);
});

test("links: one to a child that was removed stays broken, whoever has its name now", async () => {
  const { child, parent } = await family("gone");
  await daemon.ok("rename", child, "gone-last");
  await daemon.ok("rm", "-f", "gone-last");
  await daemon.ok("run", "-d", "--name", "gone-last", "busybox", "sleep", "1000");
  const refusal = `Cannot link to a non running container: /gone-last AS /${parent}/kid`;
  for (const command of [
    ["exec", parent, "true"],
    ["restart", "-t0", parent],
    ["start", parent],
  ]) {
    assert.ok((await daemon.docker(command)).stderr.includes(refusal), command[0]);
  }
  assert.equal(await daemon.ok("inspect", "-f", "{{json .HostConfig.Links}}", parent), `["/gone-last:/${parent}/kid"]`);
  assert.equal(await names("gone-last"), "gone-last");
});
