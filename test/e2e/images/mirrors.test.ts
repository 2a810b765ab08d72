import assert from "node:assert/strict";
import { copyFileSync, createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { test } from "node:test";
import { must } from "#test/command";
import { startRegistry } from "#test/registry";
import { never, openImages, shown, tag } from "./rig.ts";
import { RogueRegistry } from "./rogue.ts";

/** The machine's own network: loopback ports are all that these tests need of it. */
const here = { prefix: [] };
const upstream = "registry.invalid";
const client = { username: "client", password: "for-upstream-only" };

const basic = (name: string, password: string) => `Basic ${Buffer.from(`${name}:${password}`).toString("base64")}`;

test("mirrors: a registry's own, with a CA and a password that are the operator's", async () => {
  const user = { name: "mirror", password: "secret" };
  await using registry = await startRegistry(here, { hasTls: true, user });
  await using rig = await openImages();
  await rig.importBusybox("app:1");
  // Loopback addresses are trusted without a certificate; this one leads to the same place.
  const address = registry.address.replace("127.0.0.1", "0.0.0.0");
  const archive = join(rig.folder, "app.tar");
  await pipeline(await rig.images.save(["app"], undefined, never), createWriteStream(archive));
  const target = `docker://${address}/team/app:1`;
  await must([
    ...["skopeo", "copy", "-q", "--dest-tls-verify=false", "--dest-creds", `${user.name}:${user.password}`],
    ...[`docker-archive:${archive}:app:1`, target],
  ]);
  const folder = rig.writeHosts(
    upstream,
    `[host."https://${address}"]
       capabilities = ["pull", "resolve"]
       ca = "mirror-ca.crt"
       [host."https://${address}".header]
         Authorization = "${basic(user.name, user.password)}"`,
  );
  copyFileSync(registry.caFile, join(folder, "mirror-ca.crt"));
  const said = shown(await rig.pull(`${upstream}/team/app:1`, { credentials: client }));
  assert.equal(said.at(-1), `Status: Downloaded newer image for ${upstream}/team/app:1`);
  assert.equal(rig.images.get(`${upstream}/team/app:1`).id, rig.images.get("app:1").id);
});

test("mirrors: the first that has the image serves, and none sees what is meant for the registry", async () => {
  await using empty = await RogueRegistry.start();
  await using full = await RogueRegistry.start();
  await using rig = await openImages();
  full.addImage("1", [Buffer.from("hello")]);
  rig.writeHosts(upstream, [empty, full].map((mirror) => `[host."http://${mirror.address}"]\n`).join(""));
  const said = shown(await rig.pull(`${upstream}/app:1`, { credentials: client }));
  assert.match(said.at(-1) ?? "", /^Status: Downloaded newer image/);
  assert.ok(empty.count(/manifests\/1$/) > 0);
  const seen = [...empty.requests, ...full.requests].map(({ authorization }) => authorization);
  assert.deepEqual([...new Set(seen)], [""]);
});

test("mirrors: capabilities say who is asked for tags, and who takes pushes", async () => {
  await using byDigest = await RogueRegistry.start();
  await using server = await RogueRegistry.start();
  await using rig = await openImages();
  const { manifest } = byDigest.addImage("1", [Buffer.from("other")]);
  server.addImage("1", [Buffer.from("true")]);
  rig.writeHosts(
    upstream,
    `server = "http://${server.address}"
     [host."http://${byDigest.address}/proxy/v2"]
       override_path = true
       capabilities = ["pull"]`,
  );
  await rig.pull(`${upstream}/app:1`, { credentials: client });
  assert.equal(byDigest.requests.length, 0);
  await rig.pull(`${upstream}/app@${manifest}`);
  assert.ok(byDigest.count(/^GET \/proxy\/v2\/app\/manifests\/sha256/) > 0);
  const before = byDigest.requests.length;
  rig.images.tag(`${upstream}/app:1`, tag(`${upstream}/app:2`));
  await rig.push(`${upstream}/app:2`);
  assert.equal(byDigest.requests.length, before);
});

test("mirrors: a file that cannot be understood is named, and nothing is asked", async () => {
  await using rig = await openImages();
  const folder = rig.writeHosts(upstream, `[host."ftp://x"]`);
  const said = shown(await rig.pull(`${upstream}/app:1`));
  assert.deepEqual(said, [`invalid ${folder}/hosts.toml: unsupported scheme in "ftp://x"`]);
});
