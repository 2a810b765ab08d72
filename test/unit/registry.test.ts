import assert from "node:assert/strict";
import { test } from "node:test";
import {
  detectMediaType,
  formatPlatform,
  imageRunsOn,
  mediaTypes,
  type Platform,
  parseManifest,
  parsePlatform,
  selectManifests,
} from "#registry";
import { parseChallenge } from "../../src/registry/challenge.ts";
import { RegistryConfig } from "../../src/registry/config.ts";
import { errorOfAnswer } from "../../src/registry/errors.ts";

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;

test("platform: a specifier is read as containerd reads it", () => {
  const read = (text: string) => formatPlatform(parsePlatform(text));
  assert.equal(read("linux/amd64"), "linux/amd64");
  assert.equal(read("linux/x86_64"), "linux/amd64");
  assert.equal(read("linux/arm64"), "linux/arm64");
  assert.equal(read("linux/arm64/v8"), "linux/arm64/v8");
  assert.equal(read("linux/arm/6"), "linux/arm/v6");
  assert.equal(read("arm64"), "linux/arm64");
  assert.equal(read("windows(10.0.17763)/amd64"), "windows(10.0.17763)/amd64");
});

test("platform: nonsense is refused in containerd's words", () => {
  const message = '"bogus": unknown operating system or architecture: invalid argument';
  assert.throws(() => parsePlatform("bogus"), { kind: "invalidParameter", message });
  assert.throws(() => parsePlatform("linux/*"), {
    message: '"linux/*": wildcards not yet supported: invalid argument',
  });
  assert.throws(() => parsePlatform("a/b/c/d"), {
    message: '"a/b/c/d": cannot parse platform specifier: invalid argument',
  });
});

test("platform: an image without a variant runs where its architecture does", () => {
  assert.ok(
    imageRunsOn(
      { os: "linux", architecture: "arm", variant: "v7" },
      { os: "linux", architecture: "arm", variant: "v6" },
    ),
  );
  assert.ok(imageRunsOn({ os: "linux", architecture: "amd64" }, { os: "linux", architecture: "386" }));
  assert.ok(imageRunsOn({ os: "linux", architecture: "arm", variant: "v6" }, { os: "linux", architecture: "arm" }));
  assert.ok(!imageRunsOn({ os: "linux", architecture: "amd64" }, { os: "linux", architecture: "arm64" }));
});

const entry = (letter: string, platform?: Platform) => ({
  mediaType: mediaTypes.ociManifest,
  digest: digest(letter),
  size: 10,
  ...(platform === undefined ? {} : { platform: { ...platform, "os.version": platform.osVersion } }),
});

function indexOf(...manifests: object[]) {
  const index = parseManifest(Buffer.from(JSON.stringify({ schemaVersion: 2, manifests })), mediaTypes.ociIndex);
  return index.kind === "index" ? index : assert.fail();
}

test("index: the closest variant comes first, a missing platform last", () => {
  const index = indexOf(
    entry("a"),
    entry("b", { os: "linux", architecture: "386" }),
    entry("c", { os: "linux", architecture: "amd64" }),
    entry("d", { os: "linux", architecture: "amd64", variant: "v3" }),
    entry("e", { os: "linux", architecture: "arm64" }),
    entry("f", { os: "unknown", architecture: "unknown" }),
  );
  const order = (platform: Platform) => selectManifests(index, platform).map((one) => one.digest[7]);
  assert.deepEqual(order({ os: "linux", architecture: "amd64", variant: "v3" }), ["d", "c", "b", "a"]);
  assert.deepEqual(order({ os: "linux", architecture: "amd64" }), ["c", "b", "a"]);
  assert.deepEqual(order({ os: "linux", architecture: "arm64" }), ["e", "a"]);
});

const config = { mediaType: mediaTypes.dockerConfig, digest: digest("c"), size: 2 };
const manifest = (fields: object) => Buffer.from(JSON.stringify({ schemaVersion: 2, config, layers: [], ...fields }));

test("manifest: a document that is two things at once is refused (CVE-2021-41190)", () => {
  const both = manifest({ manifests: [] });
  assert.throws(() => parseManifest(both, mediaTypes.ociManifest), {
    message: "ocimanifest: expected manifest but found index",
  });
  assert.throws(() => parseManifest(both, mediaTypes.ociIndex), {
    message: "index: expected index but found manifest",
  });
  assert.throws(() => detectMediaType(both), { message: "media-type: cannot determine" });
});

test("manifest: the document must not contradict its Content-Type", () => {
  const message = `mediaType in manifest should be '${mediaTypes.dockerManifest}' not ''`;
  assert.throws(() => parseManifest(manifest({}), mediaTypes.dockerManifest), { message });
  assert.equal(parseManifest(manifest({}), mediaTypes.ociManifest).kind, "manifest");
  assert.throws(() => parseManifest(manifest({ mediaType: mediaTypes.ociIndex }), mediaTypes.ociManifest));
});

const malformed: readonly (readonly [what: string, fields: object])[] = [
  ["no config", { config: null }],
  ["a digest that climbs", { config: { ...config, digest: "sha256:../../etc/passwd" } }],
  ["a negative size", { config: { ...config, size: -1 } }],
  ["a size that is no integer", { config: { ...config, size: 1.5 } }],
  ["layers that are no list", { layers: {} }],
  ["a layer that is no object", { layers: ["x"] }],
  ["more layers than any image has", { layers: Array.from({ length: 1001 }, () => config) }],
];
for (const [what, fields] of malformed) {
  test(`manifest: ${what} is refused`, () => {
    assert.throws(() => parseManifest(manifest(fields), mediaTypes.ociManifest), { name: "RegistryError" });
  });
}

test("manifest: deep nesting and bytes that are no JSON are refused", () => {
  for (const text of ["", "[", "null", "[]", "\0", "[".repeat(200_000)]) {
    assert.throws(() => parseManifest(Buffer.from(text), mediaTypes.ociManifest), { name: "RegistryError" });
  }
});

test("challenge: parameters are read quoted and bare, in any case", () => {
  const challenge = parseChallenge('Bearer realm="https://auth.example/token",Service=reg, scope="a \\"b\\""');
  assert.equal(challenge?.scheme, "bearer");
  assert.deepEqual(Object.fromEntries(challenge?.parameters ?? []), {
    realm: "https://auth.example/token",
    service: "reg",
    scope: 'a "b"',
  });
  assert.equal(parseChallenge("Basic")?.scheme, "basic");
  assert.equal(parseChallenge(""), undefined);
  assert.deepEqual([...(parseChallenge('Bearer a="1",b')?.parameters.keys() ?? [])], ["a"]);
});

const answer = { statusText: "", contentType: "application/json" };
test("errors: a registry's list is told in moby's words", () => {
  const body = (error: object) => JSON.stringify({ errors: [error] });
  const said = (status: number, text: string) => errorOfAnswer({ ...answer, status, body: text }).message;
  assert.equal(
    said(404, body({ code: "MANIFEST_UNKNOWN", message: "manifest unknown", detail: {} })),
    "manifest unknown: manifest unknown",
  );
  assert.equal(said(404, body({ code: "MANIFEST_UNKNOWN", message: "manifest unknown" })), "manifest unknown");
  assert.equal(said(403, body({ code: "DENIED", message: "no" })), "denied: no");
  assert.equal(said(429, body({ code: "TOOMANYREQUESTS", message: "slow down" })), "toomanyrequests: slow down");
  assert.equal(said(400, body({ code: "WHAT", message: "ever" })), "unknown: ever");
  assert.equal(said(500, ""), "received unexpected HTTP status: 500");
  assert.equal(
    said(400, "{}"),
    'error parsing HTTP 400 response body: no error details found in HTTP response body: "{}"',
  );
  assert.equal(
    errorOfAnswer({ ...answer, contentType: "text/plain", status: 403, body: "go away" }).message,
    "denied: go away",
  );
});

test("registry config: loopback is insecure, others must be declared", async () => {
  const registries = new RegistryConfig({
    insecureRegistries: ["10.1.0.0/16", "reg.example:5000"],
    certsDir: "/nonexistent",
  });
  const schemes = async (domain: string) =>
    (await registries.endpoints(domain, "pull")).map(
      ({ base, tls }) => `${base.split(":")[0]}${tls.isVerified ? "" : "?"}`,
    );
  assert.deepEqual(await schemes("127.0.0.1:5000"), ["https?", "http?"]);
  assert.deepEqual(await schemes("[::1]:5000"), ["https?", "http?"]);
  assert.deepEqual(await schemes("10.1.2.3:5000"), ["https?", "http?"]);
  assert.deepEqual(await schemes("reg.example:5000"), ["https?", "http?"]);
  assert.deepEqual(await schemes("10.2.2.3:5000"), ["https"]);
});

test("registry config: mirrors serve Docker Hub's pulls alone", async () => {
  const registries = new RegistryConfig({ mirrors: ["http://127.0.0.1:7000"], certsDir: "/nonexistent" });
  const bases = async (domain: string, purpose: "pull" | "push") =>
    (await registries.endpoints(domain, purpose)).map(({ base }) => base);
  assert.deepEqual(await bases("docker.io", "pull"), ["http://127.0.0.1:7000", "https://registry-1.docker.io"]);
  assert.deepEqual(await bases("docker.io", "push"), ["https://registry-1.docker.io"]);
  assert.deepEqual(await bases("10.0.0.1", "pull"), ["https://10.0.0.1"]);
});

test("registry config: wrong mirrors and hosts are refused at start", () => {
  const refuse = (options: object, message: RegExp) => assert.throws(() => new RegistryConfig(options), { message });
  refuse({ mirrors: ["mirror.example"] }, /no scheme specified/);
  refuse({ mirrors: ["ftp://mirror.example"] }, /unsupported scheme "ftp"/);
  refuse({ mirrors: ["https://a:b@mirror.example"] }, /username\/password not allowed/);
  refuse({ insecureRegistries: ["-x"] }, /Cannot begin or end with a hyphen/);
  refuse({ insecureRegistries: ["reg:99999"] }, /invalid port "99999"/);
});
