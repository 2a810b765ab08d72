/** What test/scenarios runs: an engine and two registries as the scenarios expect them, then the scenarios, then what differs. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { packageRoot, startDaemon } from "./daemon.ts";
import { startRegistry } from "./registry.ts";

const [folder = "", ...wanted] = process.argv.slice(2);
const results = join(packageRoot, ".cache", "scenarios");
mkdirSync(results, { recursive: true });

// Scenarios reach published ports by themselves: in the machine's own network, or all of them inside a namespace.
await using daemon = await startDaemon();
await using registry = await startRegistry(daemon.network, { port: 5000 });
await using locked = await startRegistry(daemon.network, { port: 5001, user: { name: "u", password: "p" } });
linkPlugins(daemon.environment.DOCKER_CONFIG ?? "");

const [file = "", ...rest] = [...daemon.network.prefix, join(folder, "run-all"), results, ...wanted];
const { status } = spawnSync(file, rest, {
  stdio: "inherit",
  env: { ...process.env, ...daemon.environment, REGISTRY: registry.address, REGISTRY_AUTH: locked.address },
});
for (const name of wanted) {
  spawnSync("diff", ["-u", join(folder, "expected", `${name}.txt`), join(results, `${name}.txt`)], {
    stdio: "inherit",
  });
}
process.exitCode = status ?? 1;

/** compose and buildx, where the machine has them. */
function linkPlugins(config: string): void {
  for (const source of ["/usr/libexec/docker/cli-plugins", "/usr/local/lib/docker/cli-plugins"]) {
    if (existsSync(source)) symlinkSync(source, join(config, "cli-plugins"));
  }
}
