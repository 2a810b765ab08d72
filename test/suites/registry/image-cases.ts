import { gzipSync } from "node:zlib";
import { digestOf, type RogueRegistry, tarOf, types } from "../../e2e/images/rogue.ts";
import type { Case } from "./run.ts";
import type { Stage } from "./stage.ts";

/** Something that is nearly an image, as `1`: what pull says and what is there afterwards. */
const made =
  (make: (stage: Stage, registry: RogueRegistry) => void, query: Record<string, string> = {}) =>
  async (stage: Stage) => {
    const registry = await stage.registry();
    make(stage, registry);
    const name = `${registry.address}/${stage.word}:1`;
    const seen = await stage.pull(name, query);
    const [, inspected] = await stage.json(`/images/${name}/json`);
    const { Id, Architecture, Os, Variant, RootFS, message } = inspected as Record<string, unknown>;
    return {
      seen,
      look: await stage.json(`/distribution/${name}/json`),
      image: { Id, Architecture, Os, Variant, RootFS, message },
    };
  };

const image =
  (changes: { config?: object; manifest?: object; type?: string } = {}, contents = ["a"]) =>
  (stage: Stage, registry: RogueRegistry) =>
    void registry.addImage(
      "1",
      contents.map((label) => stage.content(label)),
      changes,
    );
/** The manifest of a good image, changed. */
const remade =
  (
    change: (
      document: { config: Record<string, unknown>; layers: Record<string, unknown>[] },
      registry: RogueRegistry,
      stage: Stage,
    ) => object,
    type: string = types.manifest,
  ) =>
  (stage: Stage, registry: RogueRegistry) => {
    const { manifest } = registry.addImage("right", [stage.content("a")], { type });
    const document = JSON.parse(registry.manifests.get(manifest)?.bytes.toString() ?? "{}");
    registry.addManifest("1", change(document, registry, stage), type);
  };
/** An image with this layer blob. */
const layered = (
  blob: (stage: Stage) => Buffer,
  mediaType: string = types.layer,
  diff?: (stage: Stage) => Buffer,
  type: string = types.manifest,
) =>
  remade((document, registry, stage) => {
    const bytes = blob(stage);
    const config = Buffer.from(
      JSON.stringify({
        architecture: "amd64",
        os: "linux",
        rootfs: { type: "layers", diff_ids: [digestOf((diff ?? blob)(stage))] },
      }),
    );
    return {
      ...document,
      config: { ...document.config, digest: registry.addBlob(config), size: config.length },
      layers: [{ mediaType, digest: registry.addBlob(bytes), size: bytes.length }],
    };
  }, type);
const tar = (stage: Stage) => tarOf("file", stage.content("tar"));

const configTypes = [
  "application/vnd.docker.plugin.v1+json",
  "application/vnd.cncf.helm.config.v1+json",
  "application/vnd.oci.empty.v1+json",
  "application/vnd.docker.ai.model.config.v0.1+json",
  "application/octet-stream",
  "application/json",
  "text/html",
  "",
  "application/vnd.oci.image.config.v1+json",
  "application/vnd.oci.imagery.v1+json",
  "application/x-odd",
];
const layerTypes = [
  "application/octet-stream",
  "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
  "application/vnd.docker.image.rootfs.diff.tar",
  "application/vnd.oci.image.layer.v1.tar",
  "application/vnd.oci.image.layer.v1.tar+gzip",
  "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
  "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
  "application/vnd.in-toto+json",
  "application/vnd.docker.ai.gguf.v3",
  "",
  "application/x-odd",
];
const kinds: Case[] = [types.manifest, types.oci].flatMap((type) => [
  ...configTypes.map(
    (mediaType): Case => [
      `image config type ${mediaType} in ${type === types.oci ? "oci" : "docker"}`,
      made(remade((document) => ({ ...document, config: { ...document.config, mediaType } }), type)),
    ],
  ),
  ...layerTypes.map(
    (mediaType): Case => [
      `image layer type ${mediaType} in ${type === types.oci ? "oci" : "docker"}`,
      made(
        remade(
          (document) => ({ ...document, layers: document.layers.map((layer) => ({ ...layer, mediaType })) }),
          type,
        ),
      ),
    ],
  ),
]);

const manifests: Case[] = [
  [
    "image artifact",
    made(
      remade(
        (document) => ({
          ...document,
          artifactType: "application/x-odd",
          config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2, data: "e30=" },
        }),
        types.oci,
      ),
    ),
  ],
  [
    "image subject",
    made(
      remade(
        (document) => ({ ...document, subject: { mediaType: types.oci, digest: digestOf("s"), size: 1 } }),
        types.oci,
      ),
    ),
  ],
  [
    "image oci without media type",
    made(
      remade(({ ...document }) => {
        Reflect.deleteProperty(document, "mediaType");
        return document;
      }, types.oci),
    ),
  ],
  [
    "image docker without media type",
    made(
      remade(({ ...document }) => {
        Reflect.deleteProperty(document, "mediaType");
        return document;
      }),
    ),
  ],
  ["image no layers", made(remade((document) => ({ ...document, layers: [] })))],
  ["image layers null", made(remade((document) => ({ ...document, layers: null })))],
  ["image no config", made(remade(({ layers }) => ({ schemaVersion: 2, mediaType: types.manifest, layers })))],
  ["image config null", made(remade((document) => ({ ...document, config: null })))],
  ["image schema version 1", made(remade((document) => ({ ...document, schemaVersion: 1 })))],
  ["image schema version 3", made(remade((document) => ({ ...document, schemaVersion: 3 })))],
  [
    "image no schema version",
    made(
      remade(({ ...document }) => {
        Reflect.deleteProperty(document, "schemaVersion");
        return document;
      }),
    ),
  ],
  [
    "image layer digest broken",
    made(remade((document) => ({ ...document, layers: [{ ...document.layers[0], digest: "sha256:zz" }] }))),
  ],
  [
    "image layer digest sha512",
    made(
      remade((document) => ({ ...document, layers: [{ ...document.layers[0], digest: `sha512:${"0".repeat(128)}` }] })),
    ),
  ],
  [
    "image layer digest none",
    made(remade((document) => ({ ...document, layers: [{ ...document.layers[0], digest: "" }] }))),
  ],
  [
    "image layer digest is a path",
    made(remade((document) => ({ ...document, layers: [{ ...document.layers[0], digest: "../../../etc/passwd" }] }))),
  ],
  [
    "image config digest broken",
    made(remade((document) => ({ ...document, config: { ...document.config, digest: "sha256:zz" } }))),
  ],
  [
    "image layer size too small",
    made(remade((document) => ({ ...document, layers: [{ ...document.layers[0], size: 1 }] }))),
  ],
  [
    "image layer size too large",
    made(remade((document) => ({ ...document, layers: [{ ...document.layers[0], size: 1_000_000 }] }))),
  ],
  [
    "image layer size zero",
    made(remade((document) => ({ ...document, layers: [{ ...document.layers[0], size: 0 }] }))),
  ],
  [
    "image layer size negative",
    made(remade((document) => ({ ...document, layers: [{ ...document.layers[0], size: -1 }] }))),
  ],
  [
    "image layer size none",
    made(remade((document) => ({ ...document, layers: document.layers.map(({ size: _, ...layer }) => layer) }))),
  ],
  [
    "image layer size in words",
    made(remade((document) => ({ ...document, layers: [{ ...document.layers[0], size: "9" }] }))),
  ],
  ["image config size wrong", made(remade((document) => ({ ...document, config: { ...document.config, size: 1 } })))],
  [
    "image layers twice",
    made(remade((document) => ({ ...document, layers: [...document.layers, ...document.layers] }))),
  ],
  ["image and index", made(remade((document) => ({ ...document, manifests: [] })))],
  ["image and index oci", made(remade((document) => ({ ...document, manifests: [] }), types.oci))],
  [
    "image capital keys",
    made(
      remade((document) => ({
        schemaVersion: 2,
        MediaType: types.manifest,
        Config: document.config,
        Layers: document.layers,
      })),
    ),
  ],
  [
    "image missing layer",
    made(
      remade((document, registry) => {
        registry.blobs.delete(String(document.layers[0]?.digest));
        return document;
      }),
    ),
  ],
  [
    "image missing config",
    made(
      remade((document, registry) => {
        registry.blobs.delete(String(document.config.digest));
        return document;
      }),
    ),
  ],
];

const configs: Case[] = [
  ["image config without rootfs", made(image({ config: { rootfs: undefined } }))],
  ["image config rootfs null", made(image({ config: { rootfs: null } }))],
  ["image config rootfs empty", made(image({ config: { rootfs: {} } }))],
  [
    "image config rootfs of another type",
    made(image({ config: { rootfs: { type: "other", diff_ids: [digestOf("x")] } } })),
  ],
  ["image config too few diff ids", made(image({ config: { rootfs: { type: "layers", diff_ids: [] } } }))],
  [
    "image config too many diff ids",
    made(image({ config: { rootfs: { type: "layers", diff_ids: [digestOf("x"), digestOf("y")] } } })),
  ],
  ["image config wrong diff id", made(image({ config: { rootfs: { type: "layers", diff_ids: [digestOf("x")] } } }))],
  ["image config broken diff id", made(image({ config: { rootfs: { type: "layers", diff_ids: ["zz"] } } }))],
  ["image config windows", made(image({ config: { os: "windows", architecture: "amd64" } }))],
  ["image config freebsd", made(image({ config: { os: "freebsd" } }))],
  ["image config no os", made(image({ config: { os: "", architecture: "" } }))],
  ["image config arm64 without a platform", made(image({ config: { architecture: "arm64" } }))],
  [
    "image config arm64 with platform amd64",
    made(image({ config: { architecture: "arm64" } }), { platform: "linux/amd64" }),
  ],
  ["image config amd64 with platform arm64", made(image(), { platform: "linux/arm64/v8" })],
  [
    "image config arm v6 with platform arm v7",
    made(image({ config: { architecture: "arm", variant: "v6" } }), { platform: "linux/arm/v7" }),
  ],
  [
    "image config arm with platform arm v7",
    made(image({ config: { architecture: "arm" } }), { platform: "linux/arm/v7" }),
  ],
  [
    "image config arm v7 with platform arm v6",
    made(image({ config: { architecture: "arm", variant: "v7" } }), { platform: "linux/arm/v6" }),
  ],
  [
    "image config 386 with platform amd64",
    made(image({ config: { architecture: "386" } }), { platform: "linux/amd64" }),
  ],
  [
    "image config with history",
    made(image({ config: { history: [{ created_by: "a" }, { created_by: "b", empty_layer: true }] } })),
  ],
  [
    "image config with too much history",
    made(image({ config: { history: [{ created_by: "a" }, { created_by: "b" }] } })),
  ],
  ["image config created broken", made(image({ config: { created: "yesterday" } }))],
  ["image config strange words", made(image({ config: { config: { Env: "x" } } }))],
  [
    "image config not json",
    made(
      remade((document, registry) => ({
        ...document,
        config: { ...document.config, digest: registry.addBlob(Buffer.from("hello")), size: 5 },
      })),
    ),
  ],
  [
    "image config a list",
    made(
      remade((document, registry) => ({
        ...document,
        config: { ...document.config, digest: registry.addBlob(Buffer.from("[]")), size: 2 },
      })),
    ),
  ],
  [
    "image config null document",
    made(
      remade((document, registry) => ({
        ...document,
        config: { ...document.config, digest: registry.addBlob(Buffer.from("null")), size: 4 },
      })),
    ),
  ],
];

const layers: Case[] = [
  ["image layer plain tar", made(layered(tar))],
  ["image layer plain tar oci", made(layered(tar, "application/vnd.oci.image.layer.v1.tar", undefined, types.oci))],
  [
    "image layer gzip as tar",
    made(layered((stage) => gzipSync(tar(stage)), "application/vnd.oci.image.layer.v1.tar", tar, types.oci)),
  ],
  ["image layer not a tar", made(layered((stage) => stage.content("no tar at all"), types.layer))],
  [
    "image layer not a tar in gzip",
    made(
      layered(
        (stage) => gzipSync(stage.content("no tar at all")),
        types.layer,
        (stage) => stage.content("no tar at all"),
      ),
    ),
  ],
  [
    "image layer empty tar",
    made(
      layered(
        () => gzipSync(Buffer.alloc(1024)),
        types.layer,
        () => Buffer.alloc(1024),
      ),
    ),
  ],
  ["image layer empty", made(layered(() => Buffer.alloc(0)))],
  [
    "image layer gzip of nothing",
    made(
      layered(
        () => gzipSync(Buffer.alloc(0)),
        types.layer,
        () => Buffer.alloc(0),
      ),
    ),
  ],
  [
    "image layer half gzip",
    made(
      layered(
        (stage) => gzipSync(Buffer.concat([tar(stage), stage.content("", 5000)])).subarray(0, 600),
        types.layer,
        tar,
      ),
    ),
  ],
  [
    "image layer garbage after gzip",
    made(layered((stage) => Buffer.concat([gzipSync(tar(stage)), Buffer.from("garbage")]), types.layer, tar)),
  ],
  [
    "image layer two gzips",
    made(
      layered(
        (stage) => Buffer.concat([gzipSync(tar(stage).subarray(0, 700)), gzipSync(tar(stage).subarray(700))]),
        types.layer,
        tar,
      ),
    ),
  ],
];

export const imageCases: readonly Case[] = [...kinds, ...manifests, ...configs, ...layers];
