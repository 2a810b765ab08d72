import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { isRoot, neighbour, sh, type TestContainer, TestHost } from "./host.ts";
import { wish } from "./wishes.ts";

const options = { skip: isRoot ? false : "needs root" };
const dig = (rest: string) => `dig +time=2 +tries=1 @127.0.0.11 ${rest}`;
const lines = (text: string) => text.split("\n").filter((line) => line !== "");

const script = (name: string) => `${process.execPath} ${new URL(name, import.meta.url).pathname}`;
const nameServer = (address: string) => `${script("name-server.ts")} ${address}`;

const relayCommand = (host: TestHost) => `^/.*/minirelay ${host.directory}/exec/relay.sock$`;
async function relayPid(host: TestHost): Promise<string> {
  return sh(`pgrep -f '${relayCommand(host)}'`);
}

test("names: ten thousand queries at once are all answered", options, async () => {
  await using host = await TestHost.start();
  await host.service.create(wish("n1"));
  const asker = await host.container({ name: "asker", network: "n1" });
  await host.container({ name: "other", network: "n1" });
  assert.equal(await asker.run(`${script("name-flood.ts")} other 10000`), "10000");
});

test("names: so are those that another server has to be asked about", options, async () => {
  await using host = await TestHost.start();
  await host.service.create(wish("n1"));
  const server = await host.container({ network: "n1" });
  const address = server.record.networks.n1?.IPAddress ?? "";
  await server.serve(nameServer(address), `${address}:53 `);
  const asker = await host.container({ network: "n1", hostConfig: { Dns: ["127.0.0.11", address] } });
  assert.equal(await asker.run(`${script("name-flood.ts")} example.org 10000`), "10000");
});

test("names: what is no query is answered, too, so that nobody waits", options, async () => {
  await using host = await TestHost.start();
  await host.service.create(wish("n1"));
  const asker = await host.container({ network: "n1" });
  assert.match(await asker.run(dig("+opcode=2 +noedns any")), /status: NOTIMP/);
  assert.match(await asker.run(dig("+header-only +noedns any")), /status: FORMERR/);
});

test(
  "names: a shared alias gives every address, in an order by lot, and an answer too large for UDP comes by TCP",
  options,
  async () => {
    await using host = await TestHost.start();
    await host.service.create(wish("n1"));
    const holders: TestContainer[] = [];
    for (let i = 0; i < 40; i += 1) {
      holders.push(await host.container({ network: "n1", networks: { n1: { Aliases: ["shared"] } } }));
    }
    const [asker] = holders;
    assert.ok(asker);
    const all = holders.map(({ record }) => record.networks.n1?.IPAddress ?? "").sort();
    const found = lines(await asker.run(dig("+short shared")));
    assert.deepEqual([...found].sort(), all);
    assert.notDeepEqual(found, lines(await asker.run(dig("+short shared"))));
    assert.match(await asker.run(dig("+noedns +ignore shared")), /flags: qr tc rd ra;/);
    assert.match(await asker.run(dig("+bufsize=4096 shared")), /EDNS: version: 0/);
  },
);

test(
  "names: the rest is asked of the host's servers, by UDP and TCP, but not for an internal network",
  options,
  async () => {
    const [address = ""] =
      /^nameserver (\d+\.\d+\.\d+\.\d+)/m.exec(readFileSync("/etc/resolv.conf", "utf8"))?.slice(1) ?? [];
    await using host = await TestHost.start();
    await sh(`ip address add ${address}/32 dev lo`);
    const onHost = await host.container({ network: "host" });
    await onHost.serve(nameServer(address), `${address}:53 `);
    await host.service.create(wish("n1"));
    await host.service.create(wish("inner", { Internal: true }));
    const asker = await host.container({ network: "n1" });
    assert.equal(await asker.run(dig("+short example.org")), "203.0.113.7");
    assert.equal(await asker.run(dig("+short +tcp example.org")), "203.0.113.7");
    const inner = await host.container({ network: "inner" });
    assert.match(await inner.run(dig("example.org")), /status: SERVFAIL/);
    await host.service.connect("n1", inner.record.name, null);
    assert.equal(await inner.run(dig("+short example.org")), "203.0.113.7");
    await sh(`ip address del ${address}/32 dev lo`);
  },
);

test("names: a server of --dns is asked from the container's own network", options, async () => {
  await using host = await TestHost.start();
  await host.service.create(wish("inner", { Internal: true }));
  const server = await host.container({ network: "inner" });
  const address = server.record.networks.inner?.IPAddress ?? "";
  await server.serve(nameServer(address), `${address}:53 `);
  const asker = await host.container({ network: "inner", hostConfig: { Dns: [address] } });
  assert.equal(await asker.run(dig("+short example.org")), "203.0.113.7");
});

test("names: port 53 of every address is the container's own to use", options, async () => {
  await using host = await TestHost.start();
  await host.service.create(wish("n1"));
  const container = await host.container({ name: "own", network: "n1" });
  await container.serve(nameServer("0.0.0.0"), "0.0.0.0:53 ");
  assert.equal(await container.run("dig +time=2 +tries=1 +short @127.0.0.1 anything"), "203.0.113.7");
  assert.equal(await container.run(dig("+short own")), container.record.networks.n1?.IPAddress);
});

test("relay: one that is killed is replaced by one that knows the same", options, async () => {
  await using host = await TestHost.start();
  await host.service.create(wish("n1"));
  const bindings = { "80/tcp": [{ HostIp: "", HostPort: "18086" }] };
  const server = await host.container({ name: "server", network: "n1", hostConfig: { PortBindings: bindings } });
  const asker = await host.container({ network: "n1" });
  const first = await relayPid(host);
  await sh(`kill -9 ${first}`);
  await sh(
    `for i in $(seq 100); do p=$(pgrep -f '${relayCommand(host)}') && [ "$p" != ${first} ] && exit 0; busybox usleep 20000; done; exit 1`,
  );
  await sh("for i in $(seq 100); do ss -Hltn | grep -q '\\[::\\]:18086' && exit 0; busybox usleep 20000; done; exit 1");
  assert.equal(await asker.run(dig("+short server")), server.record.networks.n1?.IPAddress);
  assert.notEqual(await relayPid(host), first);
});

test("relay: datagrams to [::] reach a container that has IPv4 only, and the answers find back", options, async () => {
  await using host = await TestHost.start();
  const bindings = { "9/udp": [{ HostIp: "", HostPort: "18087" }] };
  const server = await host.container({ hostConfig: { PortBindings: bindings } });
  const echo = `${process.execPath} -e 'const s = require("dgram").createSocket("udp4"); s.on("message", (m, r) => s.send(m, r.port, r.address)).bind(9)'`;
  await server.serve(echo, ":9 ");
  const ask = spawn(process.execPath, [
    "-e",
    'const s = require("dgram").createSocket("udp6"); let n = 0; s.on("message", (m) => { if (++n === 2) { console.log(String(m)); s.close(); } }); s.send("hello", 18087, "::1"); s.send("hello", 18087, "::1");',
  ]);
  const chunks: Buffer[] = [];
  for await (const chunk of ask.stdout) chunks.push(chunk);
  assert.equal(Buffer.concat(chunks).toString().trim(), "hello");
});

test("publish: who goes on sending datagrams gets to the container that has the port now", options, async () => {
  await using host = await TestHost.start();
  await using outside = await neighbour();
  const client = `const s = require("dgram").createSocket("udp4"), timer = setInterval(() => s.send("?", 18089, "192.0.2.1"), 20); s.on("message", (m) => { console.log(String(m)); clearInterval(timer); s.close(); }).bind(4444);`;
  const ask = () => outside.run(`timeout 10 ${process.execPath} -e '${client}'`);
  const serve = async (name: string) => {
    const bindings = { "9/udp": [{ HostIp: "", HostPort: "18089" }] };
    const container = await host.container({ hostConfig: { PortBindings: bindings } });
    const answer = `s.on("message", (m, r) => s.send("${name}", r.port, r.address)).bind(9)`;
    await container.serve(`${process.execPath} -e 'const s = require("dgram").createSocket("udp4"); ${answer}'`, ":9 ");
    return container;
  };
  const one = await serve("one");
  assert.equal(await ask(), "one");
  await one.stop();
  await host.container(); // has its address
  await serve("two");
  assert.equal(await ask(), "two");
});

test("relay: a large transfer through [::1] arrives whole, and each direction ends by itself", options, async () => {
  await using host = await TestHost.start();
  const bindings = { "80/tcp": [{ HostIp: "", HostPort: "18088" }] };
  const server = await host.container({ hostConfig: { PortBindings: bindings } });
  // Counts what comes until the client's end, and only then answers.
  const count = `${process.execPath} -e 'require("net").createServer({ allowHalfOpen: true }, (c) => { let n = 0; c.on("data", (d) => { n += d.length; }).on("end", () => c.end(String(n))); }).listen(80, "0.0.0.0")'`;
  await server.serve(count, ":80 ");
  const size = 50_000_000;
  const client = `const c = require("net").connect({ port: 18088, host: "::1", allowHalfOpen: true }); c.end(Buffer.alloc(${size})); c.pipe(process.stdout);`;
  assert.equal(await sh(`${process.execPath} -e '${client}'`), String(size));
});
