/** The composition root of `minidock store`: the store without an engine around it. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { systemClock } from "#base/clock";
import { createLog } from "#base/log";
import {
  type Access,
  credentialsOf,
  fetchManifest,
  openBlob,
  parseReference,
  Registry,
  type Repository,
} from "#registry";
import { type BlobSource, type Fault, type Repaired, repairStore, subjectOf, verifyStore } from "#storage";
import type { DaemonConfig } from "./config/config.ts";
import { useProxies } from "./config/proxies.ts";
import { engineVersion, registryOptions } from "./defaults.ts";
import { withRemappedUsers } from "./remap-users.ts";

export type { Fault, Repaired };
export { subjectOf };

/** May run beside the engine. */
export const verify = (config: DaemonConfig): AsyncGenerator<Fault, void> =>
  verifyStore(withRemappedUsers(config, { mayMakeUser: false }).dataRoot);

/** The engine must not run. Bytes that are lost come from the registry that they came from, with what `docker login` has stored. */
export function repair(config: DaemonConfig, signal: AbortSignal): AsyncGenerator<Repaired, void> {
  useProxies(config.proxies, process.env);
  const { dataRoot, execRoot } = withRemappedUsers(config, { mayMakeUser: false });
  const log = createLog("error");
  const registry = new Registry({
    options: registryOptions(config),
    userAgent: `docker/${engineVersion} minidock`,
    clock: systemClock,
    log,
  });
  return repairStore({ dataRoot, execRoot, log }, registrySource(registry, signal));
}

function registrySource(registry: Registry, signal: AbortSignal): BlobSource {
  const firstOf = async <T>(homes: readonly string[], work: (repository: Repository) => Promise<T>): Promise<T> => {
    let last: unknown = new Error("no registry is known to have it");
    for (const home of homes) {
      const ref = parseReference(home);
      try {
        return await registry.pull(ref, storedAccess(ref.domain), signal, work);
      } catch (error) {
        last = error;
      }
    }
    throw last;
  };
  return {
    withLayer: (digest, homes, take) =>
      firstOf(homes, async (repository) => take((await openBlob(repository, digest, 0, signal)).body)),
    fetchManifest: (digest, homes) => firstOf(homes, (repository) => fetchManifest(repository, digest, signal)),
  };
}

/** What the docker CLI of this user has stored for the registry; nothing when it keeps its credentials elsewhere. */
function storedAccess(domain: string): Access {
  const file = join(process.env.DOCKER_CONFIG ?? join(homedir(), ".docker"), "config.json");
  try {
    const { auths = {} } = JSON.parse(readFileSync(file, "utf8"));
    const entry: unknown = auths[domain === "docker.io" ? "https://index.docker.io/v1/" : domain];
    const auth: unknown = typeof entry === "object" && entry !== null && "auth" in entry ? entry.auth : undefined;
    if (typeof auth !== "string") return { credentials: credentialsOf(entry ?? null) };
    const [username = "", ...password] = Buffer.from(auth, "base64").toString("utf8").split(":");
    return { credentials: { username, password: password.join(":") } };
  } catch {
    return { credentials: {} };
  }
}
