/** THREATS C4: what a neighbour, a container or a flushed firewall makes of the engine's networks. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { isRoot, neighbour, sh, TestHost } from "../network/host.ts";
import { wish } from "../network/wishes.ts";

const options = { skip: isRoot ? false : "needs root" };
const get = (url: string) => `curl -gsf --max-time 1 ${url}`;
const local = { PortBindings: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "18081" }] } };

/** Serves "page" on port 80 of wherever `run` is. */
async function page(host: TestHost): Promise<string> {
  await sh(`mkdir -p ${host.directory}/www; echo page > ${host.directory}/www/index.html`);
  return `busybox httpd -f -p 80 -h ${host.directory}/www`;
}

/** Sends what is meant for 127/8 to `gateway`. */
const routeLoopback = (gateway: string, device: string) =>
  [
    "sysctl -qw net.ipv4.conf.all.route_localnet=1",
    `ip route add 127.0.0.0/8 via ${gateway} dev ${device} table 100`,
    "ip rule add to 127.0.0.0/8 lookup 100 pref 0",
  ].join("; ");

test("CVE-2025-54388: a port of 127.0.0.1 stays the host's own after the firewall was flushed", options, async () => {
  await using host = await TestHost.start();
  await using outside = await neighbour();
  const server = await host.container({ hostConfig: local });
  await server.serve(await page(host), ":80 ");
  await outside.run(routeLoopback("192.0.2.1", "up0"));
  await outside.run("ip route add 172.17.0.0/16 via 192.0.2.1");
  const isClosed = async () => {
    for (const url of ["http://127.0.0.1:18081/", "http://192.0.2.1:18081/", "http://172.17.0.2/"]) {
      assert.notEqual((await outside.attempt(get(url))).code, 0, url);
    }
  };
  await isClosed();
  const table = (await sh("nft list tables")).split("\n").find((line) => line.startsWith("table inet ")) ?? "";
  await sh("nft flush ruleset");
  await sh(`for i in $(seq 200); do nft list ${table} >/dev/null 2>&1 && exit 0; busybox usleep 20000; done; exit 1`);
  await isClosed();
  assert.equal(await sh(get("http://127.0.0.1:18081/")), "page");
});

test(
  "CVE-2020-8558: a container reaches no service on the host's loopback, whatever it may route",
  options,
  async () => {
    await using host = await TestHost.start();
    await host.container({ hostConfig: local });
    const onHost = await host.container({ network: "host" });
    const service = (await page(host)).replace("-p 80", "-p 127.0.0.1:8080");
    await onHost.serve(service, ":8080 ");
    assert.equal(await sh(get("http://127.0.0.1:8080/")), "page");
    const attacker = await host.container();
    await attacker.run(`ip addr del 127.0.0.1/8 dev lo; ${routeLoopback("172.17.0.1", "eth0")}`);
    for (const url of ["http://127.0.0.1:8080/", "http://127.0.0.1:18081/", "http://172.17.0.1:8080/"]) {
      assert.notEqual((await attacker.attempt(get(url))).code, 0, url);
    }
  },
);

test(
  "CVE-2021-20199: who comes by a published port comes under its own address, never as loopback",
  options,
  async () => {
    await using host = await TestHost.start();
    await using outside = await neighbour();
    const hostConfig = { PortBindings: { "80/tcp": [{ HostIp: "", HostPort: "18080" }] } };
    const server = await host.container({ hostConfig });
    const source = "require('net').createServer((client) => client.end(client.remoteAddress)).listen(80, '0.0.0.0')";
    const program = `${host.directory}/who.cjs`;
    await writeFile(program, source);
    await server.serve(`${process.execPath} ${program}`, ":80 ");
    const ask = (address: string) => `busybox nc -w 2 ${address} 18080 < /dev/null`;
    assert.equal(await outside.run(ask("192.0.2.1")), "192.0.2.2");
    for (const address of ["192.0.2.1", "127.0.0.1"]) assert.doesNotMatch(await sh(ask(address)), /^127\./);
  },
);

test("CVE-2024-29018: of an internal network nothing leaves, by name or by address", options, async () => {
  await using host = await TestHost.start();
  await using outside = await neighbour();
  await host.service.create(wish("inner", { Internal: true }));
  const inmate = await host.container({ network: "inner", hostConfig: { Dns: ["192.0.2.2"] } });
  await outside.run("nft add table ip seen; nft 'add chain ip seen in { type filter hook prerouting priority -300; }'");
  await outside.run("nft add rule ip seen in ip saddr != 192.0.2.2 meta l4proto '{ tcp, udp, icmp }' counter");
  for (const command of [
    "dig +time=1 +tries=1 secret.example.org",
    "dig +time=1 +tries=1 @192.0.2.2 secret.example.org",
  ]) {
    assert.doesNotMatch((await inmate.attempt(command)).output, /NOERROR/);
  }
  await inmate.attempt(get("http://192.0.2.2/"));
  await inmate.attempt(
    "ip route add default via $(ip -4 -o addr show eth0 | sed 's/.*inet \\([0-9.]*\\)\\.[0-9]*\\/.*/\\1.1/')",
  );
  await inmate.attempt("busybox ping -c 1 -W 1 192.0.2.2");
  assert.match(await outside.run("nft list table ip seen"), /counter packets 0 /);
});

test(
  "CVE-2020-13401: the host heeds no router advertisement of a container, and a container of IPv4 has no IPv6",
  options,
  async () => {
    await using host = await TestHost.start();
    await host.service.create(wish("six", { EnableIPv6: true }));
    const plain = await host.container();
    await host.container({ network: "six" });
    assert.equal(await plain.run("cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6"), "1");
    const bridges = (await sh("ip -o link show type bridge")).match(/docker0(?=:)|br-[0-9a-f]+(?=:)/g) ?? [];
    assert.equal(bridges.length, 2);
    for (const bridge of bridges) assert.equal(await sh(`cat /proc/sys/net/ipv6/conf/${bridge}/accept_ra`), "0");
  },
);
