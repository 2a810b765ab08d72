import assert from "node:assert/strict";
import { test } from "node:test";
import { CreateRequest, HostConfig } from "#api-schema/container-config";
import { decode, zero } from "../../src/api/decode.ts";
import { adaptCreate, type Draft } from "../../src/api/routes/containers/create-compat.ts";
import { parseJson } from "../../src/base/json.ts";

function draft(value: object): Draft {
  const request = decode(CreateRequest, parseJson(JSON.stringify(value)).value);
  return { ...request, HostConfig: request.HostConfig ?? zero(HostConfig) };
}

function adapted(version: string, value: object): Draft & { warnings: string[] } {
  const request = draft(value);
  const warnings = adaptCreate(version, request);
  return { ...request, warnings };
}

const endpoint = (request: Draft, name: string) => request.NetworkingConfig?.EndpointsConfig?.[name];

test("create: the default network is the bridge, by mode and by endpoint", () => {
  const request = adapted("1.51", {
    HostConfig: { NetworkMode: "default" },
    NetworkingConfig: { EndpointsConfig: { default: { Aliases: ["a"] } } },
  });
  assert.equal(request.HostConfig.NetworkMode, "bridge");
  assert.deepEqual(Object.keys(request.NetworkingConfig?.EndpointsConfig ?? {}), ["bridge"]);
  assert.deepEqual(endpoint(request, "bridge")?.Aliases, ["a"]);
});

test("create: fields that a version did not have are ignored", () => {
  const { HostConfig: old } = adapted("1.24", {
    HostConfig: { AutoRemove: true, ConsoleSize: [5, 6], Annotations: { a: "b" }, KernelMemory: 5 },
  });
  assert.equal(old.AutoRemove, false);
  assert.deepEqual(old.ConsoleSize, [0, 0]);
  assert.equal(old.Annotations, null);
  assert.equal(old.KernelMemory, 5);
  assert.deepEqual([old.IpcMode, old.CgroupnsMode], ["shareable", "host"]);
  const { HostConfig: current } = adapted("1.51", { HostConfig: { AutoRemove: true, KernelMemory: 5, PidsLimit: -1 } });
  assert.deepEqual([current.AutoRemove, current.KernelMemory, current.PidsLimit], [true, 0, null]);
  assert.deepEqual([current.IpcMode, current.CgroupnsMode], ["", ""]);
});

test("create: options of another mount type are refused since 1.42 and dropped before", () => {
  const mount = { HostConfig: { Mounts: [{ Type: "bind", VolumeOptions: {} }] } };
  assert.throws(() => adapted("1.42", mount), { message: 'VolumeOptions must not be specified on mount type "bind"' });
  assert.equal(adapted("1.41", mount).HostConfig.Mounts?.[0]?.VolumeOptions, null);
});

test("create: what is too new for a version is named", () => {
  const refused = (version: string, hostConfig: object) => () => adapted(version, { HostConfig: hostConfig });
  assert.throws(refused("1.44", { Mounts: [{ Type: "volume", VolumeOptions: { Subpath: "a" } }] }), {
    message: "VolumeOptions.Subpath needs API v1.45 or newer",
  });
  assert.throws(refused("1.47", { Mounts: [{ Type: "image" }] }), {
    message: 'Mount type "Image" needs API v1.48 or newer',
  });
  assert.throws(() => adapted("1.43", { NetworkingConfig: { EndpointsConfig: { a: {}, b: {} } } }), {
    message: "Container cannot be created with multiple network endpoints: a, b",
  });
});

test("create: the container's MAC address moves to its endpoint, with a warning since 1.44", () => {
  const mac = "02:42:ac:11:00:09";
  const old = adapted("1.43", { MacAddress: mac, HostConfig: { NetworkMode: "n1" } });
  assert.equal(endpoint(old, "n1")?.MacAddress, mac);
  assert.deepEqual(old.warnings, []);
  const current = adapted("1.51", { MacAddress: mac, HostConfig: { NetworkMode: "n1" } });
  assert.equal(endpoint(current, "n1")?.MacAddress, mac);
  assert.equal(current.MacAddress, "");
  assert.deepEqual(current.warnings, [
    "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.",
  ]);
  const other = {
    NetworkingConfig: { EndpointsConfig: { n2: {} } },
    MacAddress: mac,
    HostConfig: { NetworkMode: "n1" },
  };
  assert.throws(() => adapted("1.51", other), {
    message:
      "unable to migrate container-wide MAC address to a specific network: HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks",
  });
  assert.throws(() => adapted("1.43", { MacAddress: mac, HostConfig: { NetworkMode: "host" } }), {
    message: "conflicting options: mac-address and the network mode",
  });
});

test("create: an interface's sysctls move to its endpoint until 1.47, and are refused after", () => {
  const value = { HostConfig: { Sysctls: { "net.ipv4.conf.eth0.forwarding": "1", "net.core.somaxconn": "5" } } };
  const old = adapted("1.47", value);
  assert.deepEqual(old.HostConfig.Sysctls, { "net.core.somaxconn": "5" });
  assert.deepEqual(endpoint(old, "bridge")?.DriverOpts, {
    "com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.forwarding=1",
  });
  assert.deepEqual(old.warnings, [
    'Migrated sysctl "net.ipv4.conf.eth0.forwarding" to DriverOpts{"com.docker.network.endpoint.sysctls":"net.ipv4.conf.IFNAME.forwarding=1"}.',
  ]);
  assert.throws(() => adapted("1.48", value), {
    message:
      "interface specific sysctl setting \"net.ipv4.conf.eth0.forwarding\" must be supplied using driver option 'com.docker.network.endpoint.sysctls'",
  });
});

test("create: a driver for all volumes that a mount does not use is warned of", () => {
  const { warnings } = adapted("1.48", { HostConfig: { VolumeDriver: "x", Mounts: [{ Type: "volume" }] } });
  assert.match(warnings[0] ?? "", /^WARNING: the container-wide volume-driver configuration is ignored/);
});
