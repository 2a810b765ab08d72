import assert from "node:assert/strict";
import { test } from "node:test";
import { attempt, isRoot, neighbour, sh, TestHost } from "./host.ts";
import { wish } from "./wishes.ts";

const options = { skip: isRoot ? false : "needs root" };
const httpd = (host: TestHost) => `busybox httpd -f -p 80 -h ${host.directory}/www`;
const page = (host: TestHost) => `mkdir ${host.directory}/www; echo page > ${host.directory}/www/index.html`;
const get = (url: string) => `curl -gsf --max-time 1 ${url}`;
const mode = (name: string) => ({ Options: { "com.docker.network.bridge.gateway_mode_ipv4": name } });
type Wish = Parameters<typeof wish>[1];
const ports = (port: string) => ({ PortBindings: { "80/tcp": [{ HostIp: "", HostPort: port }] } });

test(
  "routed: published ports are open at the container's own address, which is not hidden, and others are not",
  options,
  async () => {
    await using host = await TestHost.start();
    await using outside = await neighbour();
    await sh(page(host));
    await host.service.create(wish("r1", mode("routed")));
    const server = await host.container({ network: "r1", hostConfig: ports("18080") });
    const shut = await host.container({ network: "r1" });
    await server.serve(httpd(host), ":80 ");
    await shut.serve(httpd(host), ":80 ");
    assert.deepEqual(server.record.ports?.["80/tcp"], [
      { HostIp: "0.0.0.0", HostPort: "" },
      { HostIp: "::", HostPort: "18080" },
    ]);
    const [open, closed] = [server, shut].map(({ record }) => record.networks.r1?.IPAddress);
    await outside.run("ip route add 172.16.0.0/12 via 192.0.2.1");
    assert.equal(await outside.run(get(`http://${open}/`)), "page");
    assert.notEqual((await outside.attempt(get(`http://${closed}/`))).code, 0);
    await outside.run(`busybox ping -c 1 -W 1 ${closed}`);
    assert.notEqual((await outside.attempt(get("http://192.0.2.1:18080/"))).code, 0);
    const stranger = await host.container();
    assert.equal(await stranger.run(get(`http://${open}/`)), "page");
    await server.stop();
    assert.match(await sh("nft list ruleset"), /set open4 \{\n\s+type ipv4_addr . inet_proto . inet_service\n\s+\}/);
  },
);

/** What each network's server gives to whom: `own` is its published port on the host, `direct` and `shut` are its own address. */
const reach: Readonly<Record<string, { readonly wish: Wish; readonly from: Readonly<Record<string, string>> }>> = {
  plain: {
    wish: {},
    from: {
      outside: "own",
      host: "own direct shut",
      self: "own direct shut",
      sibling: "own direct shut",
      stranger: "own",
    },
  },
  apart: {
    wish: { Options: { "com.docker.network.bridge.enable_icc": "false" } },
    from: { outside: "own", host: "own direct shut", self: "own direct shut", sibling: "own", stranger: "own" },
  },
  routed: {
    wish: mode("routed"),
    from: { outside: "direct", host: "direct shut", self: "direct shut", sibling: "direct shut", stranger: "direct" },
  },
  open: {
    wish: mode("nat-unprotected"),
    from: {
      ...{ outside: "own direct shut", host: "own direct shut", self: "own direct shut" },
      ...{ sibling: "own direct shut", stranger: "own" },
    },
  },
  inner: { wish: { Internal: true }, from: { host: "direct shut", self: "direct shut", sibling: "direct shut" } },
};

test(
  "reach: who gets to published and other ports of which network, by the host's address and directly",
  options,
  async () => {
    await using host = await TestHost.start();
    await using outside = await neighbour();
    await outside.run("ip route add 172.16.0.0/12 via 192.0.2.1");
    await sh(page(host));
    const stranger = await host.container();
    await host.service.create(wish("closed", { Internal: true }));
    const inmate = await host.container({ network: "closed" });
    const gateway = inmate.record.networks.closed?.IPAddress.replace(/\d+$/, "1");
    const found = await Promise.all(
      Object.entries(reach).map(async ([name, { wish: part }], i) => {
        await host.service.create(wish(name, part));
        const server = await host.container({ network: name, hostConfig: ports(`1808${i}`) });
        const sibling = await host.container({ network: name });
        await server.serve(httpd(host), ":80 ");
        await server.serve(httpd(host).replace("80", "81"), ":81 ");
        const address = server.record.networks[name]?.IPAddress;
        const from = { outside, host: { attempt }, self: server, sibling, stranger, inmate };
        const rows = Object.entries(from).map(async ([source, { attempt: run }]) => {
          const own = source === "inmate" ? gateway : "192.0.2.1";
          const targets = { own: `${own}:1808${i}`, direct: `${address}:80`, shut: `${address}:81` };
          const got = await Promise.all(Object.values(targets).map((target) => run(get(`http://${target}/`))));
          const open = Object.keys(targets).filter((_, at) => got[at]?.code === 0);
          return [source, open.join(" ")] as const;
        });
        const reached = (await Promise.all(rows)).filter(([, open]) => open !== "");
        return [name, Object.fromEntries(reached)] as const;
      }),
    );
    assert.deepEqual(
      Object.fromEntries(found),
      Object.fromEntries(Object.entries(reach).map(([name, { from }]) => [name, from])),
    );
  },
);

test(
  "strangers: a host that forwards only for its containers is no router between its neighbours",
  options,
  async () => {
    await sh("sysctl -qw net.ipv4.ip_forward=0");
    const host = await TestHost.start();
    {
      await using outside = await neighbour();
      await sh(`ip netns add ${host.directory.slice(-6)}
      ip link add up1 type veth peer name up1 netns ${host.directory.slice(-6)}
      ip addr add 198.51.100.1/24 dev up1; ip link set up1 up
      ip -n ${host.directory.slice(-6)} addr add 198.51.100.2/24 dev up1; ip -n ${host.directory.slice(-6)} link set up1 up
      ip -n ${host.directory.slice(-6)} route add default via 198.51.100.1`);
      await outside.run("ip route add default via 192.0.2.1");
      assert.equal(await sh("sysctl -n net.ipv4.ip_forward"), "1");
      assert.notEqual((await outside.attempt("busybox ping -c 1 -W 1 198.51.100.2")).code, 0);
      const container = await host.container();
      await container.run("busybox ping -c 1 -W 2 198.51.100.2");
      // Another engine's bridge is not our business.
      await sh("ip link add other0 type bridge; ip addr add 10.66.0.1/24 dev other0; ip link set other0 up");
      await sh(`ip link del up1; ip netns del ${host.directory.slice(-6)}; ip link del other0`);
    }
    await host[Symbol.asyncDispose]();
    assert.equal(await sh("sysctl -n net.ipv4.ip_forward"), "0");
  },
);

test(
  "policy: where iptables drops what it does not know our networks pass, and nothing stays behind",
  options,
  async () => {
    const chain = "nft list chain ip filter FORWARD";
    const settled = (condition: string) => sh(`for i in $(seq 60); do ${condition} && exit 0; sleep 0.1; done; exit 1`);
    {
      await using host = await TestHost.start();
      await using outside = await neighbour();
      const container = await host.container({ hostConfig: ports("18080") });
      await sh(page(host));
      await container.serve(httpd(host), ":80 ");
      await sh(`nft add table ip filter
      nft 'add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'
      nft add rule ip filter FORWARD ip saddr 198.51.100.1 drop`);
      await settled(`${chain} | grep -q 'oifname "docker0" counter'`);
      await container.run("busybox ping -c 1 -W 2 192.0.2.2");
      assert.equal(await outside.run(get("http://192.0.2.1:18080")), "page");
      await host.service.create(wish("later"));
      assert.equal((await sh(chain)).match(/oifname "/g)?.length, 2);
      await sh("nft 'add chain ip filter FORWARD { policy accept; }'");
      await settled(`! ${chain} | grep -q oifname`);
      await sh("nft 'add chain ip filter FORWARD { policy drop; }'");
      await settled(`${chain} | grep -q oifname`);
    }
    assert.deepEqual((await sh(chain)).match(/(ip saddr|iifname|oifname).*/g), ["ip saddr 198.51.100.1 drop"]);
    await sh("nft delete table ip filter");
  },
);
