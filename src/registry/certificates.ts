import { readdir, readFile } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { EngineError, errnoOf } from "#base/errors";
import type { TlsOptions } from "./client.ts";

/** What `/etc/docker/certs.d/<host>` says: `*.crt` are roots to trust, `*.cert` with `*.key` show who we are. */
export async function readCertificates(folder: string): Promise<TlsOptions> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return [];
    throw new EngineError("invalidParameter", `cannot read ${folder}`, { cause: error });
  });
  for (const name of names) checkPair(names, name);
  const read = (name: string) => readFile(join(folder, name));
  const roots = names.filter((name) => extname(name) === ".crt").sort();
  const pairs = names.filter((name) => extname(name) === ".cert").sort();
  return {
    isVerified: true,
    ca: await Promise.all(roots.map(async (name) => (await read(name)).toString("utf8"))),
    certificates: await Promise.all(
      pairs.map(async (name) => ({ cert: await read(name), key: await read(`${basename(name, ".cert")}.key`) })),
    ),
  };
}

function checkPair(names: readonly string[], name: string): void {
  const stem = name.slice(0, -extname(name).length);
  if (extname(name) === ".cert" && !names.includes(`${stem}.key`)) {
    throw new EngineError(
      "invalidParameter",
      `missing key ${stem}.key for client certificate ${name}. CA certificates must use the extension .crt`,
    );
  }
  if (extname(name) === ".key" && !names.includes(`${stem}.cert`)) {
    throw new EngineError("invalidParameter", `missing client certificate ${stem}.cert for key ${name}`);
  }
}
