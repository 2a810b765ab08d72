import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder with package.json: two levels up from the sources, one from the bundle in dist/. */
export function packageRoot(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== "/"; folder = dirname(folder)) {
    if (existsSync(join(folder, "package.json"))) return folder;
  }
  throw new Error("package.json is in none of the folders above the daemon");
}

export const nativeBinary = (name: "minirun" | "minishim" | "minispawn" | "minirelay" | "minidock-init"): string =>
  join(packageRoot(), "runtime-native", "build", name);
