import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf, type Platform, selectManifests } from "#registry";
import { proxyOf } from "../../src/registry/proxy.ts";
import { describeQuota, parseRetryAfter } from "../../src/registry/quota.ts";

const through = (url: string, environment: Record<string, string>) => proxyOf(new URL(url), environment)?.href;

test("proxy: each scheme has its own, in either spelling, with or without a scheme", () => {
  const environment = { HTTP_PROXY: "http://one:1", https_proxy: "two:2" };
  assert.equal(through("http://r.example", environment), "http://one:1/");
  assert.equal(through("https://r.example", environment), "http://two:2/");
  assert.equal(through("https://r.example", {}), undefined);
});

test("proxy: this machine is never asked through one", () => {
  const environment = { HTTP_PROXY: "http://p" };
  for (const host of ["localhost", "127.0.0.1", "127.9.9.9:5000", "[::1]:5000"])
    assert.equal(through(`http://${host}/v2/`, environment), undefined, host);
});

const exceptions: readonly (readonly [exception: string, host: string, isDirect: boolean])[] = [
  ["*", "any.example", true],
  ["example.com", "example.com", true],
  ["example.com", "deep.example.com", true],
  ["example.com", "notexample.com", false],
  [".example.com", "example.com", false],
  ["*.example.com", "a.example.com", true],
  ["example.com:8080", "example.com:8080", true],
  ["example.com:8080", "example.com", false],
  ["10.0.0.0/8", "10.1.2.3", true],
  ["10.0.0.0/8", "11.1.2.3", false],
  ["192.168.1.1", "192.168.1.1:5000", true],
  ["fd00::/8", "[fd00::1]", true],
  [" a.example , EXAMPLE.com ", "example.com", true],
];
for (const [exception, host, isDirect] of exceptions) {
  test(`proxy: NO_PROXY ${JSON.stringify(exception)} ${isDirect ? "spares" : "does not spare"} ${host}`, () => {
    const found = through(`http://${host}/`, { HTTP_PROXY: "http://p", NO_PROXY: exception });
    assert.equal(found, isDirect ? undefined : "http://p/");
  });
}

test("quota: what is left of how many in what time", () => {
  assert.equal(describeQuota("100;w=21600", "0;w=21600"), " (0 of 100 pulls left in 6 hours)");
  assert.equal(describeQuota("", "7"), " (7 pulls left)");
  assert.equal(describeQuota("100;w=21600", ""), "");
});

test("retry-after: seconds or a date", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  assert.equal(parseRetryAfter("3", now), 3000);
  assert.equal(parseRetryAfter("Thu, 01 Jan 2026 00:00:10 GMT", now), 10_000);
  assert.equal(parseRetryAfter("soon", now), undefined);
  assert.equal(parseRetryAfter("", now), undefined);
});

const on = (architecture: string, more: object = {}) => ({ os: "linux", architecture, ...more });

/** Which entry dockerd 28.5.2 takes of an index; none for -1. */
const choices: readonly (readonly [what: string, wanted: Platform, offered: readonly Platform[], taken: number])[] = [
  [
    "the best level of the CPU",
    on("amd64", { variant: "v3" }),
    [on("amd64"), on("amd64", { variant: "v2" }), on("amd64", { variant: "v4" })],
    1,
  ],
  ["v1 is the same as none", on("amd64"), [on("amd64", { variant: "v1" })], 0],
  [
    "no level above the one asked for",
    on("amd64", { variant: "v2" }),
    [on("amd64", { variant: "v3" }), on("amd64")],
    1,
  ],
  ["386 where there is nothing better", on("amd64"), [on("386")], 0],
  ["arm/v6 for v7", on("arm", { variant: "v7" }), [on("arm", { variant: "v5" }), on("arm", { variant: "v6" })], 1],
  ["no arm/v7 for v6", on("arm", { variant: "v6" }), [on("arm", { variant: "v7" })], -1],
  ["arm is v7", on("arm"), [on("arm", { variant: "v5" }), on("arm", { variant: "v7" })], 1],
  ["arm for arm64", on("arm64"), [on("arm", { variant: "v7" })], 0],
  ["arm64/v8 for v9", on("arm64", { variant: "v9" }), [on("arm64", { variant: "v8" })], 0],
  ["other names and capitals", on("amd64"), [{ os: "Linux", architecture: "x86_64" }], 0],
  ["an attestation is no image", on("amd64"), [{ os: "unknown", architecture: "unknown" }], -1],
  ["a version of the system does not matter", on("amd64"), [on("amd64", { osVersion: "6.1" })], 0],
  ["a feature of the system does", on("amd64"), [on("amd64", { osFeatures: ["x"] })], -1],
  ["the first of two alike", on("amd64"), [on("amd64"), on("amd64")], 0],
];
for (const [what, wanted, offered, taken] of choices) {
  test(`index: ${what}`, () => {
    const manifests = offered.map((platform, i) => ({
      mediaType: "m",
      digest: digestOf(String(i)),
      sizeBytes: 1,
      platform,
    }));
    const index = { kind: "index" as const, mediaType: "i", digest: digestOf(""), bytes: Buffer.alloc(0), manifests };
    const [entry] = selectManifests(index, wanted);
    assert.equal(
      manifests.findIndex(({ digest }) => digest === entry?.digest),
      taken,
    );
  });
}
