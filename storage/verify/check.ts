import { randomUUID } from "node:crypto";
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, messageOf } from "#base/errors";
import type { Digest } from "#base/ids";
import { chainIdOf } from "../layers/chain.ts";
import type { Layout } from "../layout.ts";
import type { Blob, Layer } from "../types.ts";
import type { WorkerPool } from "../workers/pool.ts";

export interface CheckParts {
  readonly layout: Layout;
  readonly pool: WorkerPool;
  readonly findBlob: (digest: Digest) => Blob | undefined;
  readonly blobPath: (digest: Digest) => string;
}

/** What is known of an unpacked layer. */
type Unpacked = Pick<Layer, "fingerprint" | "sizeBytes" | "tarBytes">;

/** What is wrong with one blob or one layer, in words; undefined when nothing is. Changes nothing. */
export class Check {
  readonly #parts: CheckParts;

  constructor(parts: CheckParts) {
    this.#parts = parts;
  }

  async blob({ digest, sizeBytes }: Blob): Promise<string | undefined> {
    const path = this.#parts.blobPath(digest);
    try {
      const { size } = await stat(path);
      if (size !== sizeBytes) return `has ${size} bytes instead of ${sizeBytes}`;
      const found = await this.#parts.pool.run<"hash">({ kind: "hash", path });
      return found === digest ? undefined : `its bytes have the digest ${found}`;
    } catch (error) {
      return errnoOf(error) === "ENOENT" ? "its file is missing" : messageOf(error);
    }
  }

  /** Against the fingerprint that was taken when the blob was dropped, or against the blob, unpacked a second time. */
  async layer(layer: Layer): Promise<string | undefined> {
    const directory = join(this.#parts.layout.snapshot(layer.snapshotNumber), "fs");
    try {
      if (chainIdOf(layer.parent, layer.diffId) !== layer.chainId) return "its row does not fit its digests";
      const found = await this.fingerprint(directory);
      const expected = layer.fingerprint === undefined ? await this.#unpacked(layer) : layer;
      if (expected === undefined) return undefined;
      if (found !== expected.fingerprint) return "its files are not those of its blob";
      const isMeasured =
        expected.sizeBytes === layer.sizeBytes && expected.tarBytes === (layer.tarBytes ?? expected.tarBytes);
      return isMeasured ? undefined : "its row does not say how large it is";
    } catch (error) {
      return errnoOf(error) === "ENOENT" ? "its files are missing" : messageOf(error);
    }
  }

  fingerprint(directory: string): Promise<Digest> {
    return this.#parts.pool.run<"fingerprint">({ kind: "fingerprint", directory });
  }

  /** What the row and the files of the layer should be. Undefined when the blob cannot tell; that is a fault of its own. */
  async #unpacked({ blob, diffId }: Layer): Promise<Unpacked | undefined> {
    const { layout, pool, findBlob, blobPath } = this.#parts;
    const known = blob === undefined ? undefined : findBlob(blob);
    if (known === undefined || (await this.blob(known)) !== undefined) return undefined;
    const directory = join(layout.tmp, randomUUID());
    await using undo = new AsyncDisposableStack();
    await mkdir(directory, { mode: 0o755 });
    undo.defer(async () => void (await pool.run<"remove">({ kind: "remove", directory })));
    const measured = await pool.run<"apply">({ kind: "apply", blobPath: blobPath(known.digest), directory, diffId });
    return { ...measured, fingerprint: await this.fingerprint(directory) };
  }
}
