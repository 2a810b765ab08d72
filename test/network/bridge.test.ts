import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { isRoot, neighbour, sh, TestHost } from "./host.ts";

const options = { skip: isRoot ? false : "needs root" };
const page = (host: TestHost) => `mkdir ${host.directory}/www; echo page > ${host.directory}/www/index.html`;
const httpd = (host: TestHost) => `busybox httpd -f -p 80 -h ${host.directory}/www`;
const get = (url: string) => `curl -gsf --max-time 2 ${url}`;

/** Answers each datagram with the address that it came from. */
const udpEcho = (port: number) =>
  `${process.execPath} -e 'const s = require("dgram").createSocket("udp4"); s.on("message", (m, r) => s.send(r.address, r.port, r.address)).bind(${port})'`;
const udpAsk = (address: string, port: number) =>
  `${process.execPath} -e 'const s = require("dgram").createSocket("udp4"); s.on("message", (m) => { console.log(String(m)); s.close(); }); s.send("x", ${port}, "${address}"); setTimeout(() => process.exit(1), 2000).unref()'`;

test(
  "default bridge: a container has address, route and files as dockerd's, and reaches its gateway",
  options,
  async () => {
    await using host = await TestHost.start();
    const container = await host.container();
    const { IPAddress, Gateway, IPPrefixLen, MacAddress } = container.record.networks.bridge ?? {};
    assert.deepEqual([IPAddress, Gateway, IPPrefixLen], ["172.17.0.2", "172.17.0.1", 16]);
    assert.match(String(MacAddress), /^.[26ae](:..){5}$/);
    assert.match(await container.run("ip -4 -br addr show eth0"), /172\.17\.0\.2\/16/);
    assert.match(await container.run("ip route"), /default via 172\.17\.0\.1 dev eth0/);
    await container.run("busybox ping -c 1 -W 2 172.17.0.1");
    const hosts = await readFile(container.sandbox.files.hosts, "utf8");
    assert.ok(hosts.endsWith(`172.17.0.2\t${container.record.id.slice(0, 12)}\n`), hosts);
    assert.equal(await readFile(container.sandbox.files.hostname, "utf8"), `${container.record.id.slice(0, 12)}\n`);
    assert.equal(await container.run("cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6"), "1");
  },
);

test(
  "ports: reached by loopback, by the host's address, from outside and from a neighbour container",
  options,
  async () => {
    await using host = await TestHost.start();
    await using outside = await neighbour();
    await sh(page(host));
    const bindings = { "80/tcp": [{ HostIp: "", HostPort: "18080" }] };
    const server = await host.container({ hostConfig: { PortBindings: bindings } });
    await server.serve(httpd(host), ":80 ");
    assert.deepEqual(server.record.ports, {
      "80/tcp": [
        { HostIp: "0.0.0.0", HostPort: "18080" },
        { HostIp: "::", HostPort: "18080" },
      ],
    });
    assert.equal(await sh(get("http://127.0.0.1:18080/")), "page");
    assert.equal(await sh(get("http://192.0.2.1:18080/")), "page");
    assert.equal(await sh(get("http://[::1]:18080/")), "page");
    assert.equal(await outside.run(get("http://192.0.2.1:18080/")), "page");
    assert.equal(await outside.run(get("http://[2001:db8::1]:18080/")), "page");
    const client = await host.container();
    assert.equal(await client.run(get("http://192.0.2.1:18080/")), "page");
    assert.equal(await server.run(get("http://192.0.2.1:18080/")), "page");
  },
);

test(
  "ports: one of 127.0.0.1 is not for neighbours or containers, and an unpublished one is for nobody outside",
  options,
  async () => {
    await using host = await TestHost.start();
    await using outside = await neighbour();
    await sh(page(host));
    const bindings = { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "18081" }] };
    const server = await host.container({ hostConfig: { PortBindings: bindings } });
    await server.serve(httpd(host), ":80 ");
    assert.equal(await sh(get("http://127.0.0.1:18081/")), "page");
    assert.notEqual((await outside.attempt(get("http://192.0.2.1:18081/"))).code, 0);
    await outside.run(
      "ip route add 127.0.0.0/8 via 192.0.2.1 dev up0 table 100; ip rule add to 127.0.0.0/8 lookup 100 pref 0; sysctl -qw net.ipv4.conf.all.route_localnet=1",
    );
    assert.notEqual((await outside.attempt(get("http://127.0.0.1:18081/"))).code, 0);
    await outside.run("ip route add 172.17.0.0/16 via 192.0.2.1");
    assert.notEqual((await outside.attempt(get("http://172.17.0.2/"))).code, 0);
  },
);

test(
  "outside: containers go out under the host's address, and the source of who comes in is kept",
  options,
  async () => {
    await using host = await TestHost.start();
    await using outside = await neighbour();
    const container = await host.container({
      hostConfig: { PortBindings: { "9/udp": [{ HostIp: "", HostPort: "19009" }] } },
    });
    await container.run("busybox ping -c 1 -W 2 192.0.2.2");
    await container.serve(udpEcho(9), ":9 ");
    assert.equal(await outside.run(udpAsk("192.0.2.1", 19009)), "192.0.2.2");
    assert.match(await sh("nft list table inet $(nft list tables | sed -n 's/table inet //p')"), /masquerade/);
  },
);
