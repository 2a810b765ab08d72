import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { NetworkCreateRequest } from "#api-schema/network";
import { EngineError } from "#base/errors";
import { Filters } from "#engine";
import { CLONE_NEWNS, unshare } from "#native";
import { isRoot, neighbour, sh, type TestContainer, TestHost } from "./host.ts";
import { subnet, wish } from "./wishes.ts";

const options = { skip: isRoot ? false : "needs root" };

async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof EngineError) return `${error.kind}: ${error.message}`;
    throw error;
  }
  return "nothing was refused";
}

test(
  "create: unasked no network is where the host is connected to by now, nor where its name servers are",
  options,
  async () => {
    await using host = await TestHost.start();
    // A view of this thread's own, in which the host has another resolv.conf.
    unshare(CLONE_NEWNS);
    const conf = join(host.directory, "resolv.conf");
    await writeFile(conf, "nameserver 172.19.0.53\n");
    await sh(`mount --make-rprivate /; mount --bind ${conf} /etc/resolv.conf
    ip link add up0 type veth peer name up1; ip addr add 172.18.5.1/24 dev up0; ip link set up0 up`);
    try {
      await host.service.create(wish("n1"));
      assert.equal(host.service.inspect("n1").IPAM?.Config?.[0]?.Subnet, "172.20.0.0/16");
    } finally {
      await sh("umount /etc/resolv.conf; ip link del up0");
    }
  },
);

test("create: refused in dockerd's words", options, async () => {
  await using host = await TestHost.start();
  const { service } = host;
  await service.create(wish("n1", { IPAM: subnet("10.89.0.0/24") }));
  const refused = (request: NetworkCreateRequest) => refusal(service.create(request));
  assert.equal(await refused(wish("n1")), "conflict: network with name n1 already exists");
  assert.equal(
    await refused(wish("n2", { IPAM: subnet("10.89.0.0/25") })),
    "forbidden: invalid pool request: Pool overlaps with other one on this address space",
  );
  assert.equal(
    await refused(wish("n3", { IPAM: subnet("bogus") })),
    "invalidParameter: invalid network config:\ninvalid subnet bogus: invalid CIDR block notation",
  );
  assert.equal(
    await refused(wish("n3", { IPAM: subnet("10.30.0.1/24") })),
    "invalidParameter: invalid network config:\ninvalid subnet 10.30.0.1/24: it should be 10.30.0.0/24",
  );
  assert.match(
    await refused(wish("n3", { IPAM: subnet("10.89.0.0/24", { IPRange: "10.89.0.128/25" }) })),
    /^forbidden: cannot create network .*: conflicts with network .*: networks have overlapping IPv4$/,
  );
  assert.equal(
    await refused(wish("n3", { EnableIPv6: true, IPAM: subnet("ff02::/64") })),
    "invalidParameter: multicast subnet 'ff02::1/64' is not allowed",
  );
  assert.equal(
    await refused(wish("n3", { Options: { "com.docker.network.bridge.name": "lo" } })),
    "system: existing interface lo is not a bridge",
  );
  assert.equal(await refused(wish("n4", { Driver: "nosuch" })), 'notFound: plugin "nosuch" not found');
  assert.equal(await refused(wish("host")), "forbidden: operation is not permitted on predefined host network ");
  assert.equal(
    await refused(wish("x", { Driver: "host" })),
    'forbidden: only one instance of "host" network is allowed',
  );
  assert.equal(await refused(wish("")), "invalidParameter: invalid name: name is empty");
  assert.equal(
    await refused(wish("x", { Options: { "com.docker.network.bridge.enable_icc": "maybe" } })),
    'invalidParameter: failed to parse com.docker.network.bridge.enable_icc value: maybe (strconv.ParseBool: parsing "maybe": invalid syntax)',
  );
  assert.equal(
    await refused(
      wish("x", {
        Options: { "com.docker.network.advertise_addr_nmsgs": "4", "com.docker.network.advertise_addr_ms": "soon" },
      }),
    ),
    'system: com.docker.network.advertise_addr_nmsgs must be in the range 0 to 3\nvalue for option com.docker.network.advertise_addr_ms "soon" must be integer milliseconds',
  );
  assert.equal(
    await refusal(service.remove("bridge")),
    "forbidden: bridge is a pre-defined network and cannot be removed",
  );
  assert.equal(await refusal(service.remove("nosuch")), "notFound: network nosuch not found");
  assert.deepEqual(
    host
      .list()
      .map(({ Name }) => Name)
      .sort(),
    ["bridge", "host", "n1", "none"],
  );
});

test("create: what inspect shows, and the bridge interface comes and goes with the network", options, async () => {
  await using host = await TestHost.start();
  const { Id } = await host.service.create(
    wish("n2", {
      IPAM: subnet("10.88.0.0/24", { Gateway: "10.88.0.254", IPRange: "10.88.0.128/25" }),
      Internal: true,
      Options: { "com.docker.network.bridge.name": "scnbr0" },
    }),
  );
  const shown = host.service.inspect("n2");
  assert.deepEqual(shown.IPAM.Config, [
    { Subnet: "10.88.0.0/24", IPRange: "10.88.0.128/25", Gateway: "10.88.0.254", AuxiliaryAddresses: null },
  ]);
  assert.match(await sh("ip -4 -br addr show scnbr0"), /10\.88\.0\.254\/24/);
  const container = await host.container({ network: "n2" });
  assert.equal(container.record.networks.n2?.IPAddress, "10.88.0.128");
  assert.equal(container.record.networks.n2?.Gateway, "");
  const message = await refusal(host.service.remove(Id));
  assert.match(
    message,
    /^forbidden: error while removing network: network n2 has active endpoints \(name:"c-\w+" id:"\w{12}"\)$/,
  );
  await container.stop();
  await host.service.remove(Id.slice(0, 10));
  assert.equal(await sh("ip link show scnbr0 2>/dev/null || echo gone"), "gone");
});

test(
  "names: containers find each other by name, alias, short id and address, only on their own networks",
  options,
  async () => {
    await using host = await TestHost.start();
    await host.service.create(wish("n1"));
    await host.service.create(wish("n2"));
    const server = await host.container({ name: "srv", network: "n1", networks: { n1: { Aliases: ["Web"] } } });
    const client = await host.container({ name: "cli", network: "n1", networks: { n1: { Links: ["srv:lk"] } } });
    const stranger = await host.container({ name: "far", network: "n2" });
    const address = server.record.networks.n1?.IPAddress ?? "";
    const dig = (name: string, more = "") => `dig +time=2 +tries=1 ${more} +short @127.0.0.11 -q ${name}`;
    for (const name of ["srv", "web", "SRV", "lk", "srv.n1", server.record.id.slice(0, 12)]) {
      assert.equal(await client.run(dig(name)), address, name);
    }
    assert.equal(await client.run(dig("srv", "+tcp")), address);
    assert.equal(await client.run(dig("srv", "-t AAAA")), "");
    assert.equal(await client.run(`dig +time=2 +tries=1 +short @127.0.0.11 -x ${address}`), "srv.n1.");
    assert.equal(await stranger.run(dig("srv")), "");
    assert.match(
      await client.run("dig +time=5 +tries=1 @127.0.0.11 srv.example.org | grep status"),
      /SERVFAIL|REFUSED/,
    );
    assert.match(
      await readFile(client.sandbox.files.resolvConf, "utf8"),
      /^nameserver 127\.0\.0\.11\noptions ndots:0$/m,
    );
    server.record.name = "renamed";
    host.service.rename(server.record);
    assert.equal(await client.run(dig("renamed")), address);
    await server.stop();
    assert.equal(await client.run(dig("renamed")), "");
  },
);

test(
  "isolation: networks do not reach each other, internal ones not the outside, and ICC off not the neighbour",
  options,
  async () => {
    await using host = await TestHost.start();
    await using outside = await neighbour();
    void outside;
    await host.service.create(wish("n1"));
    await host.service.create(wish("inner", { Internal: true }));
    await host.service.create(wish("apart", { Options: { "com.docker.network.bridge.enable_icc": "false" } }));
    const ping = (address: string | undefined) => `busybox ping -c 1 -W 1 ${address}`;
    const [a, b] = [await host.container({ network: "n1" }), await host.container({ network: "n1" })];
    const onBridge = await host.container();
    const [i, j] = [await host.container({ network: "inner" }), await host.container({ network: "inner" })];
    const [p, q] = [await host.container({ network: "apart" }), await host.container({ network: "apart" })];
    await a.run(ping(b.record.networks.n1?.IPAddress));
    assert.notEqual((await onBridge.attempt(ping(a.record.networks.n1?.IPAddress))).code, 0);
    await i.run(ping(j.record.networks.inner?.IPAddress));
    assert.notEqual((await i.attempt(ping("192.0.2.2"))).code, 0);
    await p.run(ping("192.0.2.2"));
    assert.notEqual((await p.attempt(ping(q.record.networks.apart?.IPAddress))).code, 0);
  },
);

test("ipv6: addresses, NAT66 and published ports", options, async () => {
  await using host = await TestHost.start();
  await using outside = await neighbour();
  await host.service.create(wish("six", { EnableIPv6: true }));
  const bindings = { "80/tcp": [{ HostIp: "", HostPort: "18082" }] };
  const server = await host.container({ network: "six", hostConfig: { PortBindings: bindings } });
  assert.match(server.record.networks.six?.GlobalIPv6Address ?? "", /^fd.*::2$/);
  await server.run("busybox ping6 -c 1 -W 2 2001:db8::2");
  await sh(`mkdir ${host.directory}/www; echo page > ${host.directory}/www/index.html`);
  await server.serve(`busybox httpd -f -p [::]:80 -h ${host.directory}/www`, ":80 ");
  assert.equal(await outside.run("curl -gsf --max-time 2 http://[2001:db8::1]:18082/"), "page");
  assert.equal(await sh("curl -gsf --max-time 2 http://[::1]:18082/"), "page");
});

test(
  "connect and disconnect: a running container gets and loses interfaces, and its way out follows",
  options,
  async () => {
    await using host = await TestHost.start();
    await host.service.create(wish("n1"));
    await host.service.create(wish("fix", { IPAM: subnet("10.20.0.0/24") }));
    const container = await host.container({ name: "q1", network: "n1" });
    await host.service.connect("fix", "q1", null);
    assert.match(await container.run("ip -4 -br addr show eth1"), /10\.20\.0\.2\/24/);
    assert.match(await container.run("ip route"), /default via 10\.20\.0\.1 dev eth1/);
    assert.match(await readFile(container.sandbox.files.hosts, "utf8"), /10\.20\.0\.2\t/);
    assert.equal(
      await refusal(host.service.connect("fix", "q1", null)),
      "forbidden: endpoint with name q1 already exists in network fix",
    );
    assert.equal(
      await refusal(host.service.connect("host", "q1", null)),
      "invalidParameter: cannot connect container to host network - container must be created in host network mode",
    );
    await host.service.disconnect("fix", "q1", { force: false });
    assert.match(await container.run("ip route"), /default via 172\.\d+\.0\.1 dev eth0/);
    assert.equal(await container.run("ip link show eth1 2>/dev/null || echo gone"), "gone");
    assert.equal(
      await refusal(host.service.disconnect("fix", "q1", { force: false })),
      `system: container ${container.record.id} is not connected to network fix`,
    );
    assert.equal(
      await refusal(host.service.disconnect("n1", "nosuch", { force: true })),
      "notFound: endpoint nosuch not found",
    );
  },
);

test("prune: unused networks go, labels keep others", options, async () => {
  await using host = await TestHost.start();
  await host.service.create(wish("n1"));
  await host.service.create(wish("n2", { Labels: { keep: "1" } }));
  await host.service.create(wish("n3"));
  await host.container({ network: "n3" });
  const pruned = await host.service.prune(Filters.parse('{"label!":{"keep":true}}'));
  assert.deepEqual(pruned, { NetworksDeleted: ["n1"] });
  assert.equal(
    await refusal(host.service.prune(Filters.parse('{"foo":{"1":true}}'))),
    "invalidParameter: invalid filter 'foo'",
  );
});

test("announcements: a neighbour learns at once that an address has another owner", options, async () => {
  await using host = await TestHost.start();
  const ipam = { Driver: "default", Options: {}, Config: ["10.89.0.0/24", "fd89::/64"].map(range) };
  await host.service.create(wish("announced", { EnableIPv6: true, IPAM: ipam }));
  const one = await host.container({ network: "announced" });
  const IPAMConfig = { IPv4Address: "10.89.0.9", IPv6Address: "fd89::9", LinkLocalIPs: null };
  const owner = () => host.container({ network: "announced", networks: { announced: { IPAMConfig } } });
  const macOf = ({ record }: TestContainer) => String(record.networks.announced?.MacAddress);
  const first = await owner();
  await one.run("busybox ping -c 1 -W 2 10.89.0.9; busybox ping -6 -c 1 -W 2 fd89::9");
  await first.stop();
  const second = await owner();
  assert.notEqual(macOf(second), macOf(first));
  for (const address of ["10.89.0.9", "fd89::9"]) {
    await one.run(
      `for i in $(seq 100); do ip neigh show ${address} | grep -q ${macOf(second)} && exit 0; busybox usleep 20000; done; exit 1`,
    );
  }
});

const range = (Subnet: string) => ({ Subnet, IPRange: "", Gateway: "", AuxiliaryAddresses: null });
