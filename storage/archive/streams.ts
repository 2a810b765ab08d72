import { closeSync, readSync } from "node:fs";
import { rootOf } from "#base/id-mappings";
import { asOwner, O_DIRECTORY, O_PATH } from "#native";
import { TarReader } from "../tar/reader.ts";
import type { JobOf } from "../workers/jobs.ts";
import { FdWriter } from "./fd-writer.ts";
import { packTree } from "./packer.ts";
import { Placer } from "./placer.ts";
import { openInRoot } from "./tree.ts";

/* The worker's ends of the streams. They block: a pipe is the flow control, and closing its other end the cancellation. */

export function packToFd(job: JobOf<"pack">): void {
  const writer = new FdWriter(job.outFd);
  packTree(job.rootFd, job.path, job.options, (bytes) => writer.write(bytes));
  writer.flush();
}

export function unpackFromFd(job: JobOf<"unpack">): void {
  const rootFd = openInRoot(job.rootFd, job.path, O_PATH | O_DIRECTORY);
  try {
    using placer = new Placer({ rootFd, ...job.options });
    const unpack = () => {
      readAll(job.inFd, new TarReader(placer));
      placer.finish();
    };
    const { idMappings } = job.options;
    if (idMappings === undefined) unpack();
    else asOwner(rootOf(idMappings), unpack);
  } finally {
    closeSync(rootFd);
  }
}

/** To the very end, padding included: whoever writes must not see a broken pipe. */
function readAll(fd: number, reader: TarReader): void {
  const chunk = Buffer.allocUnsafe(1 << 18);
  for (;;) {
    const length = readSync(fd, chunk);
    if (length === 0) break;
    reader.write(chunk.subarray(0, length));
  }
  reader.end();
}
