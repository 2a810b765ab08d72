import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { isRoot, sh, TestHost } from "./host.ts";
import { wish } from "./wishes.ts";

const options = { skip: isRoot ? false : "needs root" };

test("default bridge: flags of which no network can be made keep the engine from starting", options, async () => {
  const failed = "Error initializing network controller:";
  const created = `${failed} error creating default "bridge" network:`;
  for (const [bridge, message] of [
    [{ bip: "10.5.0.0/24" }, `${created} failed to allocate gateway (10.5.0.0): Address already in use`],
    [{ bip: "10.5.0.300/24" }, `${failed} parse bip failed: invalid CIDR address: 10.5.0.300/24`],
    [
      { bip: "10.5.0.1/24", defaultGateway: "10.9.0.9" },
      `${created} auxiliary address: (DefaultGatewayIPv4:10.9.0.9) must belong to the master pool: 10.5.0.0/24`,
    ],
    [{ name: "nosuch" }, `${created} bridge device with non default name nosuch must be created manually`],
  ] as const) {
    await assert.rejects(TestHost.start({ bridge }), { message });
  }
});

test("default bridge: none of it, and a container of the default network has its loopback only", options, async () => {
  await using host = await TestHost.start({ bridge: { name: "none" } });
  const alone = await host.container();
  assert.doesNotMatch(await alone.run("ip -o address"), /eth0/);
  assert.equal(await sh("ip -o link show type bridge"), "");
});

test("default bridge: a range that is not in its subnet gives no address", options, async () => {
  await using host = await TestHost.start({ bridge: { bip: "10.5.0.1/24", fixedCidr: "10.7.0.0/24" } });
  const reason = "add-any, range '10.7.0.0/24' is not in subnet '10.5.0.0/24'";
  await assert.rejects(host.container(), { message: `failed to set up container networking: ${reason}` });
});

test("ipv6: a container that has it off gets no address and no such lines in /etc/hosts", options, async () => {
  await using host = await TestHost.start();
  await host.service.create(wish("n1", { EnableIPv6: true }));
  const Sysctls = { "net.ipv6.conf.all.disable_ipv6": "1" };
  const { record, sandbox } = await host.container({ name: "off", network: "n1", hostConfig: { Sysctls } });
  assert.equal(record.networks.n1?.GlobalIPv6Address, "");
  assert.doesNotMatch(await readFile(sandbox.files.hosts, "utf8"), /::/);
  const asker = await host.container({ network: "n1" });
  const dig = "dig +time=2 +tries=1 +short @127.0.0.11 off";
  assert.equal(await asker.run(`${dig} AAAA`), "");
  assert.equal(await asker.run(dig), record.networks.n1?.IPAddress);
});

test(
  "resolv.conf: whoever edited it keeps it when the container joins its first network with names",
  options,
  async () => {
    await using host = await TestHost.start();
    await host.service.create(wish("n1"));
    const edited = await host.container();
    await writeFile(edited.sandbox.files.resolvConf, "nameserver 203.0.113.1\n");
    const plain = await host.container();
    for (const { record } of [edited, plain]) await host.service.connect("n1", record.name, null);
    assert.equal(await readFile(edited.sandbox.files.resolvConf, "utf8"), "nameserver 203.0.113.1\n");
    assert.match(await readFile(plain.sandbox.files.resolvConf, "utf8"), /^nameserver 127\.0\.0\.11$/m);
  },
);

test(
  "--icc=false: a linked container reaches the ports that the other exposes, and nobody anything else",
  options,
  async () => {
    await using host = await TestHost.start({ bridge: { isIccEnabled: false } });
    const server = await host.container({ exposed: ["80/tcp"] });
    const client = await host.container({ hostConfig: { Links: [`${server.record.id}:srv`] } });
    const stranger = await host.container();
    await sh(`mkdir ${host.directory}/www; echo page > ${host.directory}/www/index.html`);
    for (const port of [80, 81])
      await server.serve(`busybox httpd -f -p ${port} -h ${host.directory}/www`, `:${port} `);
    await client.serve(`busybox httpd -f -p 80 -h ${host.directory}/www`, ":80 ");
    const get = (to: typeof server, port: number) =>
      `curl -sf --max-time 1 http://${to.record.networks.bridge?.IPAddress}:${port}`;
    const isRefused = async (from: typeof server, command: string) =>
      assert.notEqual((await from.attempt(command)).code, 0, command);
    assert.equal(await client.run(get(server, 80)), "page");
    await isRefused(client, get(server, 81));
    await isRefused(stranger, get(server, 80));
    await isRefused(server, get(client, 80));
    const second = await host.container({ hostConfig: { Links: [`${server.record.id}:srv`] } });
    assert.equal(await second.run(get(server, 80)), "page");
    client.record.hostConfig = { ...client.record.hostConfig, Links: [] };
    await host.service.unlink(client.record, { child: server.record, alias: "srv" });
    await isRefused(client, get(server, 80));
    await second.stop();
    assert.match(await sh("nft list ruleset"), /set linked4 \{[^}=]*\}/);
  },
);
