/** What dockerd 28.5.2 answers about images, line by line, where it is not what one would guess. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { type Daemon, startDaemon } from "#test/daemon";
import { file, tarOf } from "../../storage/tar-builder.ts";

let daemon: Daemon;
before(async () => {
  daemon = await startDaemon();
  await load(
    archive({ created: "2020-01-02T03:04:05Z", author: "me <me@x>", config: { Env: [], Labels: {} } }, "plain:1"),
  );
});
after(() => daemon[Symbol.asyncDispose]());

const layer = tarOf(file("f", "x"));
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

/** What `docker save` of an image with this config and one layer could have written. */
function archive(config: object, ...tags: string[]): Buffer {
  const rootfs = { type: "layers", diff_ids: [`sha256:${sha256(layer)}`] };
  const json = JSON.stringify({ architecture: "amd64", os: "linux", rootfs, ...config });
  return archiveOf([{ Config: "c.json", RepoTags: tags, Layers: ["l.tar"] }], json);
}

const archiveOf = (manifest: unknown, config = "{}"): Buffer =>
  tarOf(
    file("c.json", config),
    file("l.tar", layer),
    file("manifest.json", typeof manifest === "string" ? manifest : JSON.stringify(manifest)),
  );

const load = async (bytes: Buffer, query = ""): Promise<string[]> => {
  const reply = await daemon.http.post(`/images/load?quiet=1${query}`, bytes, { "Content-Type": "application/x-tar" });
  assert.equal(reply.status, 200);
  return reply.text.split("\r\n").filter((line) => line !== "");
};
const errorLine = (message: string) => JSON.stringify({ errorDetail: { message }, error: message });
const query = (name: string, value: string) => `${name}=${encodeURIComponent(value)}`;

test("inspect: empty lists are null, and what HTML would read is escaped", async () => {
  const { text } = await daemon.http.get("/images/plain:1/json");
  assert.ok(text.includes('"Author":"me \\u003cme@x\\u003e"'), text);
  assert.ok(text.includes('"Config":{"Cmd":null,"Entrypoint":null,"Env":null,"Labels":null,"OnBuild":null'), text);
});

test("disk usage: names that are not there are null, and old clients see the virtual size", async () => {
  const { text } = await daemon.http.get("/v1.51/system/df?type=image");
  assert.ok(text.includes('"RepoDigests":null,"RepoTags":["plain:1"],"SharedSize":0,"Size":1}'), text);
  const { text: older } = await daemon.http.get("/v1.43/system/df?type=image");
  assert.ok(older.includes('"Size":1,"VirtualSize":1}'), older);
});

const amd64 = '{"os":"linux","architecture":"amd64"}';
const platforms: readonly (readonly [platform: string, message: string])[] = [
  ["x", "failed to parse platform: invalid character 'x' looking for beginning of value"],
  ['{"os":"li', "failed to parse platform: unexpected end of JSON input"],
  [`${amd64}x`, "failed to parse platform: invalid character 'x' after top-level value"],
  ["[]", "failed to parse platform: json: cannot unmarshal array into Go value of type v1.Platform"],
  [
    '{"os":1}',
    "failed to parse platform: json: cannot unmarshal number into Go struct field Platform.os of type string",
  ],
  ['{"os":"linux"}', "both OS and Architecture must be provided"],
  ['{"os.features":["x"]}', "optional platform fields provided, but OS and Architecture are missing"],
];
for (const [platform, message] of platforms) {
  test(`platform: ${platform} is refused in dockerd's words`, async () => {
    const reply = await daemon.http.get(`/images/plain:1/json?${query("platform", platform)}`);
    assert.deepEqual([reply.status, reply.json()], [400, { message }]);
  });
}

test("platform: two are refused for archives, elsewhere the first counts", async () => {
  const two = `${query("platform", amd64)}&${query("platform", "x")}`;
  assert.equal((await daemon.http.get(`/images/plain:1/history?${two}`)).status, 200);
  const reply = await daemon.http.get(`/images/plain:1/get?${two}`);
  assert.deepEqual([reply.status, reply.json()], [400, { message: "multiple platform parameters not supported" }]);
});

test("tag: a source that is no name at all is not found", async () => {
  const reply = await daemon.http.post("/images/Bad/tag?repo=x");
  assert.equal(reply.status, 404);
  assert.match(reply.text, /must be lowercase/);
});

test("list: a flag that is false, and a time that is none", async () => {
  const list = async (filters: string) => (await daemon.http.get(`/images/json?${query("filters", filters)}`)).text;
  assert.equal(await list('{"dangling":{"true":false}}'), `{"message":"invalid filter 'dangling=[true]'"}\n`);
  assert.equal(
    await list('{"until":["2021-13-01"]}'),
    '{"message":"parsing time \\"2021-13-01\\": month out of range"}\n',
  );
  assert.equal(await list('{"until":["2020-01-02T03"]}'), "[]\n");
  assert.match(await list('{"until":["2020-01-02T03:05"]}'), /plain:1/);
  assert.equal(await list('{"reference":["[]a]"]}'), '{"message":"syntax error in pattern"}\n');
});

test("save: without names the archive has nothing in it, in moby's way", async () => {
  const { text } = await daemon.http.get("/images/get");
  assert.ok(!text.includes("blobs/"));
  assert.ok(text.includes('"manifests":null}') && text.includes("\0null\n"));
});

const broken: readonly (readonly [what: string, bytes: Buffer, message: string])[] = [
  ["a manifest that is cut off", archiveOf("{"), "unexpected EOF"],
  ["no manifest", archiveOf(""), "EOF"],
  ["a string", archiveOf('"x"'), "json: cannot unmarshal string into Go value of type []tarexport.manifestItem"],
  [
    "tags in a string",
    archiveOf([{ RepoTags: "x" }]),
    "json: cannot unmarshal string into Go struct field .0.RepoTags of type []string",
  ],
  ["layers by number", archiveOf([{ Layers: [1] }]), "json: cannot unmarshal number into .0.Layers.0 of type string"],
  ["a config that is cut off", archiveOf([{ Config: "c.json" }], "{"), "unexpected end of JSON input"],
  ["a config without layers", archiveOf([{ Config: "c.json" }]), "invalid image JSON, no RootFS key"],
  [
    "a label that is a number",
    archive({ config: { Labels: { a: 1 } } }),
    "json: cannot unmarshal number into Go struct field Image.config.Labels.a of type string",
  ],
  [
    "a command that is a number",
    archive({ config: { Cmd: 1 } }),
    "json: cannot unmarshal number into Go value of type string",
  ],
  [
    "a date in words",
    archive({ created: "yesterday" }),
    'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"',
  ],
  ["a name above the archive", tarOf(file("../x"), file("manifest.json", "[]")), 'invalid entry name "../x"'],
];
for (const [what, bytes, message] of broken) {
  test(`load: ${what} is refused in dockerd's words`, async () => {
    assert.deepEqual(await load(bytes), [errorLine(message).replaceAll("<", "\\u003c")]);
  });
}

test("load: keys in any case, and nothing that follows the manifest is read", async () => {
  const { Config, Layers } = { Config: "c.json", Layers: ["l.tar"] };
  const rootfs = { type: "layers", diff_ids: [`sha256:${sha256(layer)}`] };
  const manifest = `${JSON.stringify([{ config: Config, layers: Layers, REPOTAGS: ["low:1"] }])} trailing`;
  assert.deepEqual(await load(archiveOf(manifest, JSON.stringify({ rootfs }))), [
    '{"stream":"Loaded image: low:1\\n"}',
  ]);
});

test("load: an image of another platform is passed over, with an empty line", async () => {
  const other = query("platform", '{"os":"linux","architecture":"arm64"}');
  assert.deepEqual(await load(archive({}, "other:1"), `&${other}`), ["{}"]);
});

test("search: a limit that is no number, or too large for one", async () => {
  for (const [limit, why] of [
    ["x", "invalid syntax"],
    ["99999999999999999999", "value out of range"],
  ] as const) {
    const reply = await daemon.http.get(`/images/search?term=x&limit=${limit}`);
    const message = `invalid limit specified: strconv.Atoi: parsing "${limit}": ${why}`;
    assert.deepEqual([reply.status, reply.json()], [400, { message }]);
  }
});

const sources: readonly (readonly [source: string, status: number, message: string])[] = [
  ["ftp://127.0.0.1/x", 500, 'Get "ftp://127.0.0.1/x": unsupported protocol scheme "ftp"'],
  ["/etc/passwd", 500, 'Get "http:///etc/passwd": http: no Host in request URL'],
  ["://x", 400, 'parse "://x": missing protocol scheme'],
  ["http://127.0.0.1:99999/", 500, 'Get "http://127.0.0.1:99999/": dial tcp: address 99999: invalid port'],
];
for (const [source, status, message] of sources) {
  test(`import: ${source} is refused in dockerd's words`, async () => {
    const reply = await daemon.http.post(`/images/create?${query("fromSrc", source)}`);
    assert.deepEqual([reply.status, reply.json()], [status, { message }]);
  });
}

/** An archive of an engine before 1.10: a folder for each layer. */
const legacyArchive = (parents: Readonly<Record<string, string>>, repositories: object): Buffer =>
  tarOf(
    ...Object.entries(parents).flatMap(([folder, parent]) => [
      file(`${folder}/json`, JSON.stringify(legacyConfig(folder, parent))),
      file(`${folder}/layer.tar`, tarOf(file(folder, folder))),
    ]),
    file("repositories", JSON.stringify(repositories)),
  );

const legacyConfig = (id: string, parent: string) => ({
  ...{ id, ...(parent === "" ? {} : { parent }), created: "2013-06-13T14:03:50.5-07:00", author: "<me>" },
  ...{ container_config: { Cmd: ["sh", id] }, docker_version: id === "b" ? "1.4.1" : "1.9.0", architecture: "amd64" },
});

test("load: archives of engines before 1.10 give the images that dockerd makes of them", async () => {
  assert.deepEqual(await load(legacyArchive({ a: "b", b: "" }, { old: { "1": "a" } })), []);
  const { text } = await daemon.http.get("/images/old:1/history");
  assert.deepEqual(text.match(/sha256:[0-9a-f]{64}/g), [
    "sha256:be9e080c42bdd6a0bbc3f8138478e29de4f1e716b68b9cc94fbb812d069b88df",
    "sha256:793ce3f1185c15f1e386bedef82f3e65a2ba4c4256fbedb11ed5e71e347302ec",
  ]);
});

test("load: a legacy layer that is its own ancestor is refused, and so is a name for one that is not there", async () => {
  const [line = ""] = await load(legacyArchive({ a: "b", b: "a" }, {}));
  assert.match(line, /its own parent/);
  assert.deepEqual(await load(legacyArchive({ b: "" }, { old: { "1": "c" } })), [errorLine("invalid target ID: c")]);
});

test("load: an archive that says nothing of itself lacks what the oldest engines wrote", async () => {
  assert.deepEqual(await load(tarOf()), [errorLine("open repositories: no such file or directory")]);
});
