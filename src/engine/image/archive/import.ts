import { Readable } from "node:stream";
import { formatTime } from "#base/clock";
import { EngineError } from "#base/errors";
import type { Digest } from "#base/ids";
import { goQuote } from "#base/strconv";
import { familiarReference, hostPlatform, openRemoteFile, type Platform, type TaggedReference } from "#registry";
import { applyChanges } from "../../dockerfile/changes.ts";
import { emptyContainerConfig } from "../config/config.ts";
import { encodeImageConfig } from "../config/json.ts";
import type { ImageParts } from "../parts.ts";
import { emitImageEvent } from "../resolve.ts";
import { createImage } from "../store.ts";
import { counted } from "../transfer/download.ts";
import { advance, ProgressMeter, type ProgressOutput, say } from "../transfer/progress.ts";

export interface ImportRequest {
  /** The body of the request, or where to fetch the tar. */
  readonly source: Readable | string;
  readonly ref?: TaggedReference;
  readonly platform?: Platform;
  readonly message: string;
  readonly changes: readonly string[];
}

/** `docker import`: a tar becomes an image of one layer. Its id is the last line. */
export async function importImage(
  parts: ImageParts,
  request: ImportRequest,
  output: ProgressOutput,
  signal: AbortSignal,
): Promise<Digest> {
  const platform = request.platform ?? hostPlatform;
  if (platform.os !== "linux") throw new EngineError("invalidParameter", "operating system is not supported");
  const config = applyChanges(emptyContainerConfig(), request.changes);
  await using undo = new AsyncDisposableStack();
  const blob =
    typeof request.source === "string" ? await open(parts, request.source, output, undo, signal) : request.source;
  const layer = await parts.storage.layers.apply({ parent: undefined, blob, signal });
  undo.defer(() => void parts.storage.layers.release(layer.chainId));
  const created = formatTime(parts.clock.now());
  const configJson = encodeImageConfig({
    created,
    author: "",
    comment: request.message,
    container: "",
    containerConfig: emptyContainerConfig(),
    dockerVersion: parts.engineVersion,
    architecture: platform.architecture,
    variant: platform.variant ?? "",
    os: platform.os,
    osVersion: "",
    osFeatures: [],
    config,
    rootfs: { type: "layers", diffIds: [layer.diffId] },
    history: [{ created, createdBy: "", author: "", comment: request.message, isEmptyLayer: false }],
  });
  const id = createImage(parts, { configJson, ref: request.ref });
  if (request.ref !== undefined) emitImageEvent(parts, "tag", id, familiarReference(request.ref));
  emitImageEvent(parts, "import", id, id);
  say(output, id);
  return id;
}

async function open(
  parts: ImageParts,
  source: string,
  output: ProgressOutput,
  undo: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Readable> {
  const text = source.includes("://") ? source : `http://${source}`;
  const file = undo.use(await openRemoteFile(parseSource(text), `docker/${parts.engineVersion}`, signal));
  say(output, `Downloading from ${text}`);
  const meter = new ProgressMeter(file.sizeBytes ?? 0, 0, (current, total) =>
    advance(output, "", "Importing", current, total),
  );
  return Readable.from(counted(file, meter), { objectMode: false });
}

/** In the words of Go's parser and client. */
function parseSource(text: string): URL {
  const [, scheme = "", host = ""] = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)/i.exec(text) ?? [];
  const parsing = (why: string) => new EngineError("invalidParameter", `parse ${goQuote(text)}: ${why}`);
  const getting = (why: string) => new EngineError("system", `Get ${goQuote(text.replace(/\/\/$/, ""))}: ${why}`);
  if (scheme === "") throw parsing("missing protocol scheme");
  if (!/^https?$/i.test(scheme)) throw getting(`unsupported protocol scheme ${goQuote(scheme.toLowerCase())}`);
  if (host === "") throw getting("http: no Host in request URL");
  const port = /:(\d+)$/.exec(host)?.[1] ?? "";
  if (Number(port) > 65535) throw getting(`dial tcp: address ${port}: invalid port`);
  if (!URL.canParse(text)) throw parsing("invalid URL");
  return new URL(text);
}
