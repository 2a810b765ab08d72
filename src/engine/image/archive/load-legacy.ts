import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import { isOlder } from "#api-schema/versions";
import { EngineError } from "#base/errors";
import { type Digest, sha256Digest } from "#base/ids";
import { parseJson, toPlain } from "#base/json";
import { configSizeLimit, parseReference, withTag } from "#registry";
import { decompress } from "#storage";
import { Fields } from "../../fields.ts";
import { type HistoryEntry, parseConfigJson, parseContainerConfig } from "../config/config.ts";
import { encodeContainerConfig, encodeHistory, goJson } from "../config/json.ts";
import { imageById } from "../resolve.ts";
import { createImage } from "../store.ts";
import { setLoadedName } from "../tag.ts";
import { type Load, loadLayers } from "./load-layers.ts";

/** By the names of their folders. */
type Loaded = Map<string, Digest>;

/**
 * Archives of engines before 1.10: a folder for each layer with a config of its own, and the names in `repositories` (moby
 * image/tarexport, legacyLoad). Every layer becomes an image, the child of the one below it; moby tells nobody of them.
 */
export async function loadLegacy(load: Load): Promise<void> {
  const loaded: Loaded = new Map();
  const folders = load.files.paths.filter((path) => path.includes("/")).map((path) => path.split("/", 1)[0] ?? "");
  for (const folder of [...new Set(folders)].sort()) await loadFolder(load, folder, loaded);
  const text = await load.files.readText("repositories", configSizeLimit);
  for (const [name, tags] of mapsOf(toPlain(parseJson(text).value))) {
    for (const [tag, folder] of Object.entries(tags)) {
      const id = loaded.get(folder);
      if (id === undefined) throw new EngineError("system", `invalid target ID: ${folder}`);
      setLoadedName(load.parts, withTag(parseReference(name), tag), id, load.output);
    }
  }
}

function mapsOf(repositories: unknown): [name: string, tags: Record<string, string>][] {
  const fields = new Fields(repositories, "", "map[string]map[string]string");
  return Object.keys(Object(repositories)).map((name) => [name, fields.map(name) ?? {}]);
}

/** Parents first: a folder's chain may be as long as an image may have layers, and must end. */
async function loadFolder(load: Load, folder: string, loaded: Loaded): Promise<void> {
  const chain: { readonly folder: string; readonly json: string }[] = [];
  for (let next = folder; next !== "" && !loaded.has(next); ) {
    if (chain.some((one) => one.folder === next)) throw new EngineError("system", `layer ${next} is its own parent`);
    const json = await load.files.readText(`${next}/json`, configSizeLimit);
    chain.push({ folder: next, json });
    next = legacyFields(json).text("parent");
  }
  for (const one of chain.reverse()) {
    const parent = loaded.get(legacyFields(one.json).text("parent"));
    loaded.set(one.folder, await loadStep(load, one.folder, one.json, parent));
  }
}

async function loadStep(load: Load, folder: string, json: string, parentId: Digest | undefined): Promise<Digest> {
  const { parts, files } = load;
  const { storage } = parts;
  const os = legacyFields(json).text("os") || "linux";
  if (os !== "linux") throw new EngineError("system", `cannot load ${os} image on linux`);
  const parent = parentId === undefined ? undefined : imageById(parts, parentId);
  const path = `${folder}/layer.tar`;
  const diffId = await diffIdOf(storage.content.read(files.get(path).digest));
  const diffIds = [...(parent?.config.rootfs.diffIds ?? []), diffId];
  const history = [...(parent?.config.history ?? []), historyOf(json)];
  using held = new DisposableStack();
  // The layers below are the parent's: nothing of the archive is read for them.
  await loadLayers(
    load,
    diffIds.map(() => path),
    diffIds,
    held,
  );
  const configJson = configFrom(json, diffIds, history);
  return createImage(parts, { configJson, ...(parentId === undefined ? {} : { parent: parentId }) });
}

async function diffIdOf(layer: Readable): Promise<Digest> {
  const hash = createHash("sha256");
  for await (const chunk of decompress(layer)) hash.update(chunk);
  return sha256Digest(hash.digest("hex"));
}

const legacyFields = (json: string): Fields => new Fields(parseConfigJson(json), "V1Image", "image.V1Image");

function historyOf(json: string): HistoryEntry {
  const fields = legacyFields(json);
  const { Cmd } = parseContainerConfig(fields.object("container_config", "container.Config"));
  return {
    created: fields.time("created"),
    createdBy: (Cmd ?? []).join(" "),
    author: fields.text("author"),
    comment: fields.text("comment"),
    isEmptyLayer: false,
  };
}

const droppedKeys = ["id", "parent", "Size", "parent_id", "layer_id", "throwaway"];

/** moby image/v1, MakeConfigFromV1Config: the id depends on every byte of it. */
function configFrom(json: string, diffIds: readonly Digest[], history: readonly HistoryEntry[]): string {
  // Engines before 1.8.3 wrote blank fields.
  const isBlank = isOlder(legacyFields(json).text("docker_version"), "1.8.3");
  const own = isBlank ? withoutBlanks(legacyFields(json)) : Object(parseConfigJson(json));
  const fields = Object.entries(own).filter(([key]) => !droppedKeys.includes(key));
  const all = [...fields, ["rootfs", { type: "layers", diff_ids: diffIds }], ["history", history.map(encodeHistory)]];
  return goJson(Object.fromEntries(all.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1))));
}

function withoutBlanks(fields: Fields): object {
  const text = (name: string) => fields.text(name) || undefined;
  const config = (name: string) => encodeContainerConfig(parseContainerConfig(fields.object(name, "container.Config")));
  return {
    comment: text("comment"),
    created: fields.time("created"),
    container: text("container"),
    container_config: config("container_config"),
    docker_version: text("docker_version"),
    author: text("author"),
    config: fields.isNull("config") ? undefined : config("config"),
    architecture: text("architecture"),
    variant: text("variant"),
    os: text("os"),
  };
}
