import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { busyboxTar } from "#test/busybox";
import { must } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";
import { file, tarOf } from "../../storage/tar-builder.ts";

/** What names and attributes can be, each with a time that is not now's. */
const strangeFiles = `
  long() { printf "$1%.0s" $(seq $2); }
  mkdir -p /w/sub /w/$(long n 90)/deeper/still
  cd /w
  echo hello > file; ln file hard; ln -s file soft; ln -s $(long t 150) far
  mknod device c 300 70000; mknod pipe p
  touch $(printf 'caf\\351') "two words" $(long l 150) $(long n 90)/deeper/still/x
  chown 3000000:70000 file; chmod 4755 file; chmod 1777 sub
  touch -h -d @1500000000 soft far
  touch -d @-5 file; touch -d @9999999999 sub
  touch -d @1500000000 c* d* l* p* t* n*/deeper/still/x n*/deeper/still n*/deeper n*
  touch -d @1500000000 /w`;

/** The diffID that dockerd 28.5.2 gives for them. */
const dockerdsLayer = "sha256:31ed6c597952c87ae4ab05bb41ae0d389dc4aeb0b9fe53dfb3f05bfa656fa62e";

describe("image formats", () => {
  let daemon: Daemon;
  before(async () => {
    daemon = await startDaemon();
  });
  after(() => daemon[Symbol.asyncDispose]());

  const idOf = async (name: string): Promise<string> =>
    (await daemon.ok("image", "inspect", "-f", "{{.Id}}", name)).trim();

  test("commit: strange files make the layer that dockerd makes of them, byte for byte", async () => {
    await daemon.ok("run", "--name", "strange", "--network", "none", "busybox", "sh", "-c", strangeFiles);
    await daemon.ok("commit", "strange", "strange");
    const layers = await daemon.ok("image", "inspect", "-f", "{{json .RootFS.Layers}}", "strange");
    assert.equal(JSON.parse(layers).at(-1), dockerdsLayer);
  });

  test("the content folder is an OCI layout that skopeo and umoci read, and follows what happens to images", async () => {
    const [content, bundle, archive] = [join(daemon.dataRoot, "content"), "bundle", "copy.tar"];
    const other = "localhost:5000/other/name:v1";
    const name = "docker.io/library/busybox:latest";
    const inFolder = (file: string): string => join(daemon.folder, file);
    // What is being written when the daemon ends is written to its end.
    const namesAfter = async (...argv: string[]): Promise<string[]> => {
      await daemon.ok(...argv);
      await daemon.stop();
      return (await must(["umoci", "ls", "--layout", content])).split("\n");
    };
    assert.ok((await namesAfter("tag", "busybox", other)).includes(other));
    await must(["skopeo", "copy", "-q", `oci:${content}:${name}`, `docker-archive:${inFolder(archive)}`]);
    await must(["umoci", "unpack", "--image", `${content}:${name}`, inFolder(bundle)]);
    assert.deepEqual(readFileSync(join(inFolder(bundle), "rootfs/bin/busybox")), readFileSync("/bin/busybox"));
    await daemon.start();
    const id = await idOf("busybox");
    assert.ok((await daemon.ok("load", "-i", inFolder(archive))).includes(id));
    const left = await namesAfter("rmi", other);
    assert.ok(left.includes(name) && !left.includes(other), left.join());
    await daemon.start();
  });

  test("save: skopeo and umoci read what comes out, and what they write has the same id here", async () => {
    const id = await idOf("busybox");
    const [saved, layout, back] = ["saved.tar", "layout", "back.tar"].map((name) => join(daemon.folder, name));
    assert.ok(saved !== undefined && layout !== undefined && back !== undefined);
    await daemon.ok("save", "-o", saved, "busybox");
    mkdirSync(layout);
    await must(["tar", "-xf", saved, "-C", layout]);
    assert.equal((await must(["umoci", "ls", "--layout", layout])).trim(), "latest");
    // From Docker's archive to OCI's, skopeo writes another config.
    for (const [from, to] of [
      [`docker-archive:${saved}`, "docker-archive"],
      [`oci:${layout}:latest`, "docker-archive"],
      [`oci:${layout}:latest`, "oci-archive"],
    ]) {
      await must(["skopeo", "copy", "-q", `${from}`, `${to}:${back}:docker.io/library/from-skopeo:1`]);
      await daemon.ok("load", "-i", back);
      assert.equal(await idOf("from-skopeo:1"), id, `${from} as ${to}`);
      await daemon.ok("rmi", "from-skopeo:1");
      await must(["rm", back]);
    }
  });

  test("127 layers load, run and are changed; one more is refused", async () => {
    const base = readFileSync(await busyboxTar());
    const deep = (count: number): string => {
      const path = join(daemon.folder, `deep-${count}.tar`);
      writeFileSync(path, archiveOf(`deep:${count}`, base, count));
      return path;
    };
    await daemon.ok("load", "-i", deep(127));
    const script = "ls / | grep -c ^layer; echo more > /layer-1";
    assert.equal(await daemon.ok("run", "--name", "deep", "--network", "none", "deep:127", "sh", "-c", script), "126");
    assert.equal(await daemon.ok("diff", "deep"), "C /layer-1");
    const refused = [
      ["load", "-i", deep(128)],
      ["commit", "deep"],
    ];
    for (const argv of refused) {
      const { status, stderr } = await daemon.docker(argv);
      assert.deepEqual([status, /max depth exceeded/.test(stderr)], [1, true], stderr);
    }
  });
});

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** As `docker save` wrote it once: `base`, and on it a file for each further layer. */
function archiveOf(name: string, base: Buffer, layerCount: number): Buffer {
  const layers = Array.from({ length: layerCount }, (_, at) => (at === 0 ? base : tarOf(file(`layer-${at}`))));
  const diffIds = layers.map((layer) => `sha256:${sha256(layer)}`);
  const config = JSON.stringify({ architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: diffIds } });
  const manifest = [{ Config: "config.json", RepoTags: [name], Layers: layers.map((_, at) => `${at}.tar`) }];
  return tarOf(
    ...layers.map((layer, at) => file(`${at}.tar`, layer)),
    file("config.json", config),
    file("manifest.json", JSON.stringify(manifest)),
  );
}
