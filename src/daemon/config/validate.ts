/** The checks that dockerd makes on flags and file together (moby daemon/config/config.go, Validate), in its order and words. */
import type { Settings } from "./file.ts";
import { options } from "./options.ts";
import { Reader } from "./reader.ts";

const logLevels = new Set(["panic", "fatal", "error", "warn", "info", "debug", "trace"]);

export function validateSettings(settings: Settings): void {
  const s = new Reader(settings);
  const level = s.text("log-level").toLowerCase();
  refuseIf(level !== "" && !logLevels.has(level), `invalid logging level: ${s.text("log-level")}`);
  refuseIf(!["", "text", "json"].includes(s.text("log-format")), `invalid log format: ${s.text("log-format")}`);
  checkLists(s);
  for (const [key, what] of [
    ["mtu", "default MTU"],
    ["max-concurrent-downloads", "max concurrent downloads"],
    ["max-concurrent-uploads", "max concurrent uploads"],
    ["max-download-attempts", "max download attempts"],
  ] as const) {
    refuseIf(s.number(key) < 0, `invalid ${what}: ${s.number(key)}`);
  }
  const port = s.number("network-diagnostic-port");
  refuseIf(port < 0 || port > 65535, `invalid network-diagnostic-port (${port}): value must be between 0 and 65535`);
  refuseIf(
    s.text("api-cors-header") !== "",
    'DEPRECATED: The "api-cors-header" config parameter and the dockerd "--api-cors-header" option have been removed; use a reverse proxy if you need CORS headers',
  );
  for (const text of s.list("exec-opts")) checkExecOption(text);
  checkModes(s);
  checkLabels(s.list("labels"));
  refuseIf(s.has("runtimes") && "runc" in s.record("runtimes", String), "runtime name 'runc' is reserved");
}

/** What a flag checks when it is read, a list in the file is checked for now. */
function checkLists(s: Reader): void {
  for (const key of ["dns-search", "labels", "hosts", "registry-mirrors"]) {
    const kind = options.find((option) => option.key === key)?.kind;
    for (const value of s.list(key)) kind?.add(undefined, value);
  }
}

function checkExecOption(text: string): void {
  const equals = text.indexOf("=");
  const name = text.slice(0, Math.max(0, equals)).trim().toLowerCase();
  const value = text.slice(equals + 1).trim();
  const invalid = `invalid exec-opt (${text})`;
  refuseIf(equals < 0 || name === "" || value === "", `${invalid}: must be formatted 'opt=value'`);
  refuseIf(name === "isolation", `${invalid}: option 'isolation' is only supported on windows`);
  refuseIf(name !== "native.cgroupdriver", `${invalid}: unknown option: '${name}'`);
}

function checkModes(s: Reader): void {
  const ipc = s.text("default-ipc-mode");
  const hint = 'use "shareable" or "private"';
  const isIpcMode = ["", "private", "shareable", "none", "host"].includes(ipc) || /^container:./.test(ipc);
  refuseIf(!isIpcMode, `default IPC mode setting (${ipc}) is invalid; ${hint}`);
  refuseIf(!["", "private", "shareable"].includes(ipc), `IPC mode "${ipc}" is not supported as default value; ${hint}`);
  const cgroupns = s.text("default-cgroupns-mode");
  refuseIf(
    !["", "host", "private"].includes(cgroupns),
    `invalid default cgroup namespace (${cgroupns}): use "host" or "private"`,
  );
}

/** The same key may be said twice, but not with two values. */
function checkLabels(labels: readonly string[]): void {
  const seen = new Map<string, string>();
  for (const label of labels) {
    const key = label.slice(0, label.indexOf("="));
    const before = seen.get(key);
    refuseIf(before !== undefined && before !== label, `conflict labels for ${label} and ${before}`);
    seen.set(key, label);
  }
}

function refuseIf(isWrong: boolean, message: string): void {
  if (isWrong) throw new Error(message);
}
