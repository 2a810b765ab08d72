import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { EngineError } from "#base/errors";
import { insideOf, isRoot, leaveMachine, sh, TestHost } from "./host.ts";

const options = { skip: isRoot ? false : "needs root" };
const publish = (host: string, port: string) => ({ PortBindings: { "80/tcp": [{ HostIp: host, HostPort: port }] } });
const tableOf = () => sh("nft list tables | sed -n 's/^table inet \\(minidock.*\\)/\\1/p'");

async function messageOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof EngineError);
    assert.equal(error.kind, "system");
    return error.message;
  }
  return "";
}

test("ports: one in use is refused in Docker's words, and nothing is left of the container", options, async () => {
  await using host = await TestHost.start();
  const web = await host.container({ name: "web", hostConfig: publish("127.0.0.1", "18080") });
  const prefix =
    "failed to set up container networking: driver failed programming external connectivity on endpoint web2";
  assert.match(
    await messageOf(host.container({ name: "web2", hostConfig: publish("127.0.0.1", "18080") })),
    new RegExp(`^${prefix} \\(\\w{64}\\): Bind for 127\\.0\\.0\\.1:18080 failed: port is already allocated$`),
  );
  const other = createServer().listen(18090, "0.0.0.0");
  assert.match(
    await messageOf(host.container({ name: "web2", hostConfig: publish("", "18090") })),
    new RegExp(
      `^${prefix} \\(\\w{64}\\): failed to bind host port for 0\\.0\\.0\\.0:18090:172\\.17\\.0\\.3:80/tcp: address already in use$`,
    ),
  );
  other.close();
  assert.deepEqual(Object.keys(host.service.inspect("bridge").Containers ?? {}), [web.record.id]);
  await web.stop();
  await (await host.container({ hostConfig: publish("127.0.0.1", "18080") })).stop();
});

test(
  "ports: what cannot be listened at is refused in the words of dockerd, of which the last port tried is one",
  options,
  async () => {
    await using host = await TestHost.start();
    const refusal = async (protocol: string, ...bindings: (readonly [host: string, port: string])[]) => {
      const PortBindings = { [`80/${protocol}`]: bindings.map(([HostIp, HostPort]) => ({ HostIp, HostPort })) };
      return (await messageOf(host.container({ hostConfig: { PortBindings } }))).replace(/.*\(\w{64}\): /, "");
    };
    const reason = "172.17.0.2:80/tcp: cannot assign requested address";
    assert.equal(await refusal("tcp", ["1.2.3.4", "8080"]), `failed to bind host port for 1.2.3.4:8080:${reason}`);
    assert.equal(await refusal("tcp", ["1.2.3.4", ""]), `failed to bind host port for 1.2.3.4::${reason}`);
    assert.equal(
      (await refusal("tcp", ["1.2.3.4", "8080-8082"])).replace(/port \d+/, "port N"),
      `failed to bind host port N for 1.2.3.4:8080-8082:${reason}`,
    );
    const twice = "failed to listen on TCP socket: address already in use";
    assert.equal(await refusal("tcp", ["", "18080"], ["", "18080"]), twice);
    assert.equal(await refusal("tcp", ["", "18080"], ["127.0.0.1", "18080"]), twice);
    assert.equal(await refusal("tcp", ["::1", "18080"], ["127.0.0.1", "18080"]), "");
    assert.equal(await refusal("udp", ["", "18080"], ["127.0.0.1", "18080"]), "");
  },
);

test("ports: ranges give the next free port, -P gives random ones", options, async () => {
  await using host = await TestHost.start();
  const ports = async (config: Parameters<TestHost["container"]>[0]) => {
    const { record } = await host.container(config);
    return record.ports?.["80/tcp"]?.[0]?.HostPort;
  };
  assert.equal(await ports({ hostConfig: publish("", "18100-18101") }), "18100");
  assert.equal(await ports({ hostConfig: publish("", "18100-18101") }), "18101");
  assert.match(await messageOf(host.container({ hostConfig: publish("", "18100-18101") })), /all ports are allocated$/);
  const random = Number(await ports({ exposed: ["80/tcp"], hostConfig: { PublishAllPorts: true } }));
  assert.ok(random >= 32768 && random <= 60999, String(random));
});

test(
  "restart: after a kill -9 addresses, ports and rules are taken over, and what nobody has is removed",
  options,
  async () => {
    await leaveMachine();
    const first = spawn(process.execPath, [new URL("first-life.ts", import.meta.url).pathname], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = await once(first.stdout.setEncoding("utf8"), "data");
    const { directory, records } = JSON.parse(String(line));
    const [web, one, two, lost] = records;
    await sh(`mkdir ${directory}/www; echo page > ${directory}/www/index.html`);
    const httpd = insideOf(web.sandboxKey, `exec busybox httpd -f -p 80 -h ${directory}/www`);
    const server = spawn("sh", ["-c", `exec ${httpd}`], { stdio: "ignore" });
    const fetchPage =
      "for i in $(seq 50); do curl -gsf --max-time 2 http://127.0.0.1:18083/ && exit 0; busybox usleep 20000; done; exit 1";
    assert.equal(await sh(fetchPage), "page");
    first.kill("SIGKILL");
    await once(first, "exit");
    assert.equal(await sh(fetchPage), "page");
    // Without any daemon names are answered, and IPv6 reaches a container that has none.
    const dig = (name: string) => sh(insideOf(one.sandboxKey, `dig +time=2 +tries=1 +short @127.0.0.11 ${name}`));
    const addressOfTwo = two.networks.named.IPAddress;
    assert.equal(await dig("two"), addressOfTwo);
    assert.equal(await sh("curl -gsf --max-time 2 http://[::1]:18083/"), "page");

    await using host = await TestHost.adopt(directory, [web, one, two]);
    assert.equal(await dig("two"), addressOfTwo);
    const third = await host.container({ name: "three", network: "named" });
    assert.equal(await dig("three"), third.record.networks.named?.IPAddress);
    assert.equal(await sh(fetchPage), "page");
    assert.equal(await sh("curl -gsf --max-time 2 http://[::1]:18083/"), "page");
    assert.deepEqual(Object.keys(host.service.inspect("bridge").Containers ?? {}), [web.id]);
    const next = await host.container();
    assert.equal(next.record.networks.bridge?.IPAddress, lost.networks.bridge.IPAddress);
    await sh(
      `for i in $(seq 100); do ip -br link | grep -q veth${lost.networks.bridge.EndpointID.slice(0, 7)} || exit 0; busybox usleep 20000; done; exit 1`,
    );
    server.kill("SIGKILL");
    await once(server, "exit");
  },
);

test("firewall: flushed rules come back, foreign ones stay", options, async () => {
  await using host = await TestHost.start();
  await host.container({ hostConfig: publish("", "18084") });
  const table = await tableOf();
  await sh("nft flush ruleset; nft add table ip foreign; nft 'add chain ip foreign c'");
  await sh(
    `for i in $(seq 200); do nft list table inet ${table} >/dev/null 2>&1 && exit 0; busybox usleep 20000; done; exit 1`,
  ).catch(() => assert.fail("not put back"));
  assert.match(await sh(`nft list map inet ${table} any4`), /18084/);
  assert.match(await sh("nft list ruleset"), /table ip foreign/);
  await sh("nft delete table ip foreign");
});

test("shutdown: nothing is left in the kernel", options, async () => {
  const host = await TestHost.start();
  await (await host.container({ hostConfig: publish("", "18085") })).stop();
  await host[Symbol.asyncDispose]();
  assert.equal(await tableOf(), "");
  await sh(
    `for i in $(seq 100); do test "$(ip -br link | grep -v '^lo ' | wc -l)" = 0 && exit 0; busybox usleep 20000; done; ip link; exit 1`,
  );
});

test("modes: none has loopback only, host has the host's, container:x shares", options, async () => {
  await using host = await TestHost.start();
  const none = await host.container({ network: "none" });
  assert.equal(await none.run("ls /sys/class/net >/dev/null; ip -br link | wc -l"), "1");
  const onHost = await host.container({ network: "host" });
  assert.equal(onHost.sandbox.namespacePath, undefined);
  const shared = await host.container({ network: `container:${none.record.name}` });
  assert.equal(shared.sandbox.files.hosts, none.sandbox.files.hosts);
  assert.equal(
    await messageOf(host.container({ network: "container:nosuch" })),
    "joining network namespace of container: No such container: nosuch",
  );
});
