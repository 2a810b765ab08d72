import type { Readable } from "node:stream";
import { EngineError, type ErrorKind } from "#base/errors";
import { bodyFault, HttpClient } from "./client.ts";
import { RegistryError } from "./errors.ts";

/** A file somewhere on the web, open for reading. Whoever opens it disposes of it. */
export interface RemoteFile extends AsyncDisposable {
  readonly body: Readable;
  readonly sizeBytes: number | undefined;
  readonly describe: (error: unknown) => Promise<RegistryError>;
}

const errorBodyLimit = 1 << 20;
const kinds: Readonly<Record<number, ErrorKind>> = {
  400: "invalidParameter",
  401: "unauthorized",
  403: "forbidden",
  404: "notFound",
};

/** What `docker import URL` and the builder's ADD read (moby builder/remotecontext, GetWithStatusError). No credentials are sent. */
export async function openRemoteFile(url: URL, userAgent: string, signal: AbortSignal): Promise<RemoteFile> {
  const client = new HttpClient({ isVerified: true, ca: [], certificates: [] }, { "user-agent": userAgent });
  try {
    const answer = await client.request("GET", url, { signal });
    if (answer.status >= 400) {
      const body = (await answer.bytes(errorBodyLimit)).toString("utf8").trim();
      const message = `failed to GET ${url.href} with status ${answer.status} ${answer.statusText}: ${body}`;
      throw new EngineError(kinds[answer.status] ?? "system", message);
    }
    return {
      body: answer.body,
      sizeBytes: answer.length,
      describe: async (error) => new RegistryError("transport", await bodyFault(error, answer.url), { cause: error }),
      [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
    };
  } catch (error) {
    await client[Symbol.asyncDispose]();
    throw error;
  }
}
