import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanPath, NamedPaths, splitTarget } from "../../src/api/urls.ts";

const paths = new NamedPaths();
for (const url of [
  "/images/:name/json",
  "/containers/:name/json",
  "/containers/:name/attach/ws",
  "/containers/:name/attach",
])
  paths.learn("GET", url);
for (const url of ["/images/:name", "/containers/:name", "/containers/:name/checkpoints/:checkpoint"])
  paths.learn("DELETE", url);

test("urls: the segments of a name are folded into one", () => {
  assert.equal(paths.fold("GET", "/images/127.0.0.1:5000/a/b/json"), "/images/127.0.0.1:5000%2Fa%2Fb/json");
  assert.equal(paths.fold("DELETE", "/images/a/b"), "/images/a%2Fb");
  assert.equal(paths.fold("GET", "/containers/a/json/json"), "/containers/a%2Fjson/json");
});

test("urls: what is no name stays as it is", () => {
  for (const path of ["/images/json", "/containers/x/json", "/containers/x/attach/ws", "/nosuch/a/b"])
    assert.equal(paths.fold("GET", path), path);
  assert.equal(paths.fold("DELETE", "/containers/x/checkpoints/y"), "/containers/x/checkpoints/y");
  assert.equal(paths.fold("POST", "/images/a/b/json"), "/images/a/b/json");
});

test("urls: a version in front is split off", () => {
  assert.deepEqual(splitTarget("/v1.44/containers/json?all=1"), {
    version: "1.44",
    path: "/containers/json",
    query: "?all=1",
  });
  assert.deepEqual(splitTarget("/_ping"), { version: "", path: "/_ping", query: "" });
  assert.deepEqual(splitTarget("/v1.51"), { version: "", path: "/v1.51", query: "" });
  assert.deepEqual(splitTarget("http://d:1/v1.51/info"), { version: "1.51", path: "/info", query: "" });
});

test("urls: a path that is not clean leads to the clean one", () => {
  assert.equal(cleanPath("/v1.51//containers/json?a=1"), "/v1.51/containers/json?a=1");
  assert.equal(cleanPath("/containers/../version"), "/version");
  assert.equal(cleanPath("/a/./b/"), "/a/b/");
  assert.equal(cleanPath("/containers/.hidden/json"), undefined);
  assert.equal(cleanPath("/containers/json?path=/a//b"), undefined);
});

const redirects: readonly (readonly [target: string, to: string | undefined])[] = [
  ["/v1.44/containers/json?all=1", undefined],
  ["//containers//json?a=//b", "/containers/json?a=//b"],
  ["/containers/x/checkpoints/%2e%2e%2fy", "/containers/x/y"],
  ["/containers/c0%2F/start", "/containers/c0/start"],
  ["/images/127.0.0.1:5000%2Fa/json", undefined],
  ["/containers/%zz/json", undefined],
];
test("cleanPath: redirects to what mux sees behind the escapes", () => {
  for (const [target, to] of redirects) assert.equal(cleanPath(target), to, target);
});
