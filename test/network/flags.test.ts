import assert from "node:assert/strict";
import { test } from "node:test";
import { isRoot, neighbour, sh, TestHost } from "./host.ts";
import { wish } from "./wishes.ts";

const options = { skip: isRoot ? false : "needs root" };
const ports = (port: string) => ({ PortBindings: { "80/tcp": [{ HostIp: "", HostPort: port }] } });
const get = (url: string) => `curl -gsf --max-time 1 ${url}`;

async function startServer(host: TestHost, network: string, port: string) {
  const server = await host.container({ network, hostConfig: ports(port) });
  await sh(`mkdir -p ${host.directory}/www; echo page > ${host.directory}/www/index.html`);
  await server.serve(`busybox httpd -f -p 80 -h ${host.directory}/www`, ":80 ");
  const address = Object.values(server.record.networks)[0]?.IPAddress ?? "";
  return { server, address };
}

test(
  "--iptables=false: no table of ours, published ports by the relay, and the host's loopback is not routed",
  options,
  async () => {
    await using host = await TestHost.start({ bridge: { isFirewallEnabled: false, isFirewall6Enabled: false } });
    await using outside = await neighbour();
    const { server } = await startServer(host, "bridge", "18080");
    assert.doesNotMatch(await sh("nft list tables"), /minidock/);
    assert.equal(await sh("cat /proc/sys/net/ipv4/conf/docker0/route_localnet"), "0");
    for (const url of ["http://127.0.0.1:18080", "http://[::1]:18080"]) assert.equal(await sh(get(url)), "page");
    for (const run of [outside.run, server.run]) assert.equal(await run(get("http://192.0.2.1:18080")), "page");
    assert.equal(host.service.inspect("bridge").Options?.["com.docker.network.bridge.enable_ip_masquerade"], "false");
  },
);

test("--ip6tables=false: IPv6 is left alone, IPv4 is kept", options, async () => {
  await using host = await TestHost.start({ bridge: { isFirewall6Enabled: false } });
  await using outside = await neighbour();
  await host.service.create(wish("six", { EnableIPv6: true }));
  const { server, address } = await startServer(host, "six", "18080");
  await outside.run("ip route add 172.16.0.0/12 via 192.0.2.1; ip -6 route add fd00::/8 via 2001:db8::1");
  await outside.run(`busybox ping6 -c 3 -W 1 ${server.record.networks.six?.GlobalIPv6Address}`);
  assert.notEqual((await outside.attempt(get(`http://${address}`))).code, 0);
  for (const url of ["http://192.0.2.1:18080", "http://[2001:db8::1]:18080"]) {
    assert.equal(await outside.run(get(url)), "page");
  }
});

test(
  "--userland-proxy=false: ports are held and translated, but not passed on, nor open to other networks",
  options,
  async () => {
    await using host = await TestHost.start({ bridge: { isUserlandProxyEnabled: false } });
    await using outside = await neighbour();
    await host.service.create(wish("other"));
    const { server } = await startServer(host, "bridge", "18080");
    assert.deepEqual(server.record.ports?.["80/tcp"], [{ HostIp: "0.0.0.0", HostPort: "18080" }]);
    assert.equal(await sh(get("http://127.0.0.1:18080")), "page");
    for (const run of [outside.run, server.run]) assert.equal(await run(get("http://192.0.2.1:18080")), "page");
    const stranger = await host.container({ network: "other" });
    assert.notEqual((await stranger.attempt(get("http://192.0.2.1:18080"))).code, 0);
    assert.match(await sh("ss -Hltn"), /0\.0\.0\.0:18080/);
    assert.doesNotMatch(await sh("ss -Hltn"), /\[::\]:18080/);
  },
);

test(
  "direct routing: published ports by the container's own address, for all or from trusted interfaces",
  options,
  async () => {
    const trusted = { Options: { "com.docker.network.bridge.trusted_host_interfaces": "up0:up9" } };
    for (const [isDirectRoutingAllowed, part] of [
      [true, {}],
      [false, trusted],
    ] as const) {
      await using host = await TestHost.start({ bridge: { isDirectRoutingAllowed } });
      await using outside = await neighbour();
      await outside.run("ip route add 172.16.0.0/12 via 192.0.2.1");
      await host.service.create(wish("direct", part));
      const { server, address } = await startServer(host, "direct", "18080");
      await server.serve(`busybox httpd -f -p 81 -h ${host.directory}/www`, ":81 ");
      assert.equal(await outside.run(get(`http://${address}`)), "page");
      assert.notEqual((await outside.attempt(get(`http://${address}:81`))).code, 0);
      const { address: shut } = await startServer(host, "bridge", "18081");
      assert.equal((await outside.attempt(get(`http://${shut}`))).code === 0, isDirectRoutingAllowed);
    }
  },
);

test("host_ipv4: a network's packets leave the host under the address that was chosen for it", options, async () => {
  await using host = await TestHost.start();
  await using outside = await neighbour();
  await sh("ip addr add 192.0.2.9/32 dev up0; ip addr add 2001:db8::9/128 dev up0 nodad");
  await host.service.create(
    wish("chosen", {
      EnableIPv6: true,
      Options: { "com.docker.network.host_ipv4": "192.0.2.9", "com.docker.network.host_ipv6": "2001:db8::9" },
    }),
  );
  const client = await host.container({ network: "chosen" });
  await sh(`mkdir -p ${host.directory}/www/cgi-bin
    printf '#!/bin/sh\\necho\\necho $REMOTE_ADDR\\n' > ${host.directory}/www/cgi-bin/who; chmod +x ${host.directory}/www/cgi-bin/who`);
  await outside.run(`busybox httpd -p [::]:80 -h ${host.directory}/www`);
  const who = async (server: string) =>
    (await client.run(get(`http://${server}/cgi-bin/who`))).replace(/[[\]]|::ffff:/g, "");
  assert.equal(await who("192.0.2.2"), "192.0.2.9");
  assert.equal(await who("[2001:db8::2]"), "2001:db8::9");
});
