import assert from "node:assert/strict";
import { test } from "node:test";
import { attempt, isRoot, leaveMachine, neighbour, sh, TestHost } from "./host.ts";
import { subnet, wish } from "./wishes.ts";

async function skipReason(): Promise<string | false> {
  if (!isRoot) return "needs root";
  await leaveMachine();
  const { code } = await attempt("ip link add mv0 link lo type macvlan; ip link del mv0");
  const { code: parented } = await attempt(
    "ip link add vp0 type veth peer name vp1; ip link add link vp0 name mv0 type macvlan; r=$?; ip link del vp0; exit $r",
  );
  return code !== 0 && parented !== 0 ? "the kernel has no macvlan" : false;
}
const options = { skip: await skipReason() };

test("macvlan: containers share a link of the host, meet there, and reach who is beyond it", options, async () => {
  await using host = await TestHost.start();
  await using outside = await neighbour();
  const request = wish("mv", {
    Driver: "macvlan",
    Options: { parent: "up0" },
    IPAM: subnet("192.0.2.0/24", { Gateway: "192.0.2.254", IPRange: "192.0.2.64/27" }),
  });
  await host.service.create(request);
  const one = await host.container({ name: "one", network: "mv" });
  const two = await host.container({ name: "two", network: "mv" });
  const { IPAddress, Gateway } = two.record.networks.mv ?? {};
  assert.equal(Gateway, "192.0.2.254");
  assert.deepEqual(two.record.ports, {});
  await one.run(`busybox ping -c 1 -W 2 ${IPAddress}`);
  await one.run("busybox ping -c 1 -W 2 192.0.2.2");
  await outside.run(`busybox ping -c 1 -W 2 ${IPAddress}`);
  assert.equal(await one.run("dig +time=2 +tries=1 +short @127.0.0.11 two"), IPAddress);
  assert.match(await one.run("ip route"), /default via 192\.0\.2\.254 dev eth0/);
  await host.service.disconnect("mv", "two", { force: false });
  assert.equal(await two.run("ip -br link | wc -l"), "1");
  assert.notEqual((await outside.attempt(`busybox ping -c 1 -W 1 ${IPAddress}`)).code, 0);
  await host.service.connect("mv", "two", null);
  await outside.run(`busybox ping -c 1 -W 2 ${two.record.networks.mv?.IPAddress}`);
  await one.stop();
  assert.notEqual((await outside.attempt(`busybox ping -c 1 -W 1 ${one.record.networks.mv?.IPAddress}`)).code, 0);
});

test("macvlan: refused in dockerd's words, and a VLAN that was made goes with its network", options, async () => {
  await using host = await TestHost.start();
  await sh("ip link add vp0 type veth peer name vp1");
  const refusal = (parent: string, more: Record<string, string> = {}) =>
    host.service.create(wish("mv", { Driver: "macvlan", Options: { parent, ...more } })).then(
      () => "nothing was refused",
      (error: unknown) => (error instanceof Error ? error.message : ""),
    );
  assert.equal(await refusal("lo"), "loopback interface is not a valid macvlan parent link");
  assert.equal(await refusal("nosuch0"), "invalid subinterface vlan name nosuch0, example formatting is eth0.10");
  assert.equal(await refusal("nosuch0.7"), "-o parent interface was not found on the host: nosuch0");
  assert.equal(await refusal("vp0.5000"), "vlan id must be between 1-4094, received: 5000");
  assert.equal(
    await refusal("vp0", { macvlan_mode: "foo" }),
    "requested macvlan mode 'foo' is not valid, 'bridge' mode is the macvlan driver default",
  );
  assert.deepEqual(
    host
      .list()
      .map(({ Name }) => Name)
      .sort(),
    ["bridge", "host", "none"],
  );
  const { Id } = await host.service.create(
    wish("mv", { Driver: "macvlan", Options: { parent: "vp0", macvlan_mode: "passthru" } }),
  );
  assert.equal(await refusal("vp0"), `conflict: network with name mv already exists`.replace("conflict: ", ""));
  await host.service.remove(Id);
  await sh("ip link del vp0");
});
