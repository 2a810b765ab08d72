import assert from "node:assert/strict";
import { test } from "node:test";
import { ContainerInspect } from "#api-schema/container-inspect";
import { UpdateConfig } from "#api-schema/container-verbs";
import { SystemInfo } from "#api-schema/system";
import { containerInspectFor, infoFor, isOlder, updateRequestFor } from "#api-schema/versions";
import { decode, zero } from "../../src/api/decode.ts";
import { parseJson } from "../../src/base/json.ts";

test("versions: are compared number by number", () => {
  assert.equal(isOlder("1.9", "1.24"), true);
  assert.equal(isOlder("1.51", "1.51"), false);
  assert.equal(isOlder("1.51", "1.51.0"), false);
  assert.equal(isOlder("1.100", "1.51"), false);
  assert.equal(isOlder("..", "1.24"), true);
});

test("versions: until 1.45 aliases on user-defined networks name the container, too", () => {
  const json = parseJson(
    '{"Id":"0123456789abcdef","Config":{"Hostname":"h"},"NetworkSettings":{"Networks":{"n":{"Aliases":["a","h"]},"bridge":{"Aliases":null}}}}',
  ).value;
  const container = decode(ContainerInspect, json);
  const networks = (version: string) => containerInspectFor(version, container).NetworkSettings?.Networks;
  assert.deepEqual(networks("1.44")?.n?.Aliases, ["a", "h", "0123456789ab"]);
  assert.equal(networks("1.44")?.bridge?.Aliases, null);
  assert.deepEqual(networks("1.45")?.n?.Aliases, ["a", "h"]);
});

test("versions: an update's limit on processes is none where it is 0 or less", () => {
  const asked = { ...zero(UpdateConfig), PidsLimit: -5, KernelMemory: 7 };
  assert.equal(updateRequestFor("1.51", asked).PidsLimit, 0);
  assert.equal(updateRequestFor("1.39", asked).PidsLimit, null);
  assert.deepEqual(
    [updateRequestFor("1.41", asked).KernelMemory, updateRequestFor("1.42", asked).KernelMemory],
    [7, 0],
  );
});

test("versions: info shows each version what it knew", () => {
  const newest = {
    ...zero(SystemInfo),
    SecurityOptions: ["name=seccomp,profile=builtin"],
    Runtimes: { runc: { path: "runc", status: { a: "b" } } },
    RuncCommit: { ID: "1" },
    FirewallBackend: { Driver: "nftables" },
  };
  assert.deepEqual(infoFor("1.50", newest).info, newest);
  assert.deepEqual(infoFor("1.50", newest).fields, {});
  const old = infoFor("1.24", newest);
  assert.deepEqual(old.info.SecurityOptions, ["seccomp"]);
  assert.equal(old.info.KernelVersion, "<unknown>");
  assert.equal(old.info.Runtimes?.runc?.status, null);
  assert.deepEqual(old.info.RuncCommit, { ID: "1", Expected: "1" });
  assert.equal(old.info.FirewallBackend, null);
  assert.deepEqual(old.fields, { BridgeNfIp6tables: false, BridgeNfIptables: false });
});
