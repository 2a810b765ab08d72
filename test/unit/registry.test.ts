import assert from "node:assert/strict";
import { test } from "node:test";
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
