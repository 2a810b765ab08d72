/** What the CDI library asks of a specification beyond its shape, in its words and order. */
import { attempt } from "#base/errors";
import { goQuote } from "#base/strconv";
import type { Device, Hooks } from "#runtime";
import type { CdiDevice, CdiSpec, ContainerEdits, DeviceNode } from "./spec-file.ts";

export const hookNames = [
  ...(["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] as const),
] satisfies readonly (keyof Hooks)[];

export const deviceTypes = ["b", "c", "u", "p"] as const satisfies readonly Device["type"][];

/** Throws what is wrong. */
export function validateSpec(spec: CdiSpec): void {
  validateVersion(spec);
  const { vendor, name } = classOf(spec.kind);
  validateClass("vendor", vendor);
  validateClass("class", name);
  validateEdits(spec.edits);
  const names = new Set<string>();
  for (const device of spec.devices) {
    attempt(`failed add device ${goQuote(device.name)}`, () => validateDevice(device));
    if (names.has(device.name)) throw new Error(`invalid spec, multiple device ${goQuote(device.name)}`);
    names.add(device.name);
  }
  if (names.size === 0) throw new Error("invalid spec, no devices");
}

/** Of "vendor.com/class": "" and all of it where that is not its form. */
function classOf(kind: string): { readonly vendor: string; readonly name: string } {
  const [, vendor = "", name = kind] = /^([^/]+)\/(.+)$/s.exec(kind) ?? [];
  return { vendor, name };
}

const versions = ["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0"];

/** What came into the specification with each version. */
const additions: readonly (readonly [
  version: string,
  isUsedBy: (spec: CdiSpec, edits: ContainerEdits[]) => boolean,
])[] = [
  [
    "0.7.0",
    (_, edits) => edits.some(({ intelRdt, additionalGids }) => intelRdt !== undefined || additionalGids.length > 0),
  ],
  ["0.6.0", (spec) => spec.hasAnnotations || (spec.kind.includes("/") && classOf(spec.kind).name.includes("."))],
  [
    "0.5.0",
    ({ devices }, edits) =>
      devices.some(({ name }) => /^\d/.test(name)) ||
      edits.some(({ deviceNodes }) => deviceNodes.some(({ hostPath }) => hostPath !== "")),
  ],
  ["0.4.0", (_, edits) => edits.some(({ mounts }) => mounts.some(({ type }) => type !== ""))],
  ["0.3.0", () => true],
];

function validateVersion(spec: CdiSpec): void {
  const at = versions.indexOf(spec.version.replace(/^v/, ""));
  if (at < 0) throw new Error(`invalid version ${goQuote(spec.version)}`);
  const edits = [spec.edits, ...spec.devices.map((device) => device.edits)];
  const needed = additions.find(([, isUsedBy]) => isUsedBy(spec, edits))?.[0] ?? "";
  if (versions.indexOf(needed) > at) throw new Error(`the spec version must be at least v${needed}`);
}

function validateClass(what: "vendor" | "class", name: string): void {
  const failed = (reason: string) => new Error(`invalid ${what}. ${reason}`);
  if (name === "") throw failed("empty name");
  if (!/^[A-Za-z]/.test(name)) throw failed(`${goQuote(name)}, should start with letter`);
  const stranger = /[^A-Za-z0-9_.-]/u.exec(name.slice(1, -1))?.[0];
  if (stranger !== undefined) throw failed(`invalid character '${stranger}' in name ${goQuote(name)}`);
  if (!/[A-Za-z0-9]$/.test(name)) throw failed(`${goQuote(name)}, should end with a letter or digit`);
}

function validateDevice({ name, edits }: CdiDevice): void {
  validateDeviceName(name);
  if (isEmpty(edits)) throw new Error("invalid device, empty device edits");
  attempt(`invalid device ${goQuote(name)}`, () => validateEdits(edits));
}

function validateDeviceName(name: string): void {
  if (name === "") throw new Error("invalid (empty) device name");
  if (!/^[A-Za-z0-9]/.test(name)) {
    throw new Error(`invalid class ${goQuote(name)}, should start with a letter or digit`);
  }
  const stranger = /[^A-Za-z0-9_.:-]/u.exec(name.slice(1, -1))?.[0];
  if (stranger !== undefined) throw new Error(`invalid character '${stranger}' in device name ${goQuote(name)}`);
  if (!/[A-Za-z0-9]$/.test(name)) throw new Error(`invalid name ${goQuote(name)}, should end with a letter or digit`);
}

const isEmpty = ({ intelRdt, ...lists }: ContainerEdits): boolean =>
  intelRdt === undefined && Object.values(lists).every((list) => list.length === 0);

function validateEdits({ env, deviceNodes, hooks, mounts, intelRdt }: ContainerEdits): void {
  validateEnvironment(env, "invalid container edits");
  deviceNodes.forEach(validateDeviceNode);
  for (const hook of hooks) {
    const name = goQuote(hook.hookName);
    if (hookNames.every((known) => known !== hook.hookName)) throw new Error(`invalid hook name ${name}`);
    if (hook.path === "") throw new Error(`invalid hook ${name} with empty path`);
    validateEnvironment(hook.env ?? [], `invalid hook ${name}`);
  }
  for (const { hostPath, containerPath } of mounts) {
    if (hostPath === "") throw new Error("invalid mount, empty host path");
    if (containerPath === "") throw new Error("invalid mount, empty container path");
  }
  const closID = intelRdt?.closID ?? "";
  if (closID.length >= 4096 || closID === "." || closID === ".." || /[/\n]/.test(closID)) {
    throw new Error("invalid ClosID");
  }
}

function validateEnvironment(env: readonly string[], words: string): void {
  const wrong = env.find((entry) => entry.indexOf("=") <= 0);
  if (wrong !== undefined) throw new Error(`${words}: invalid environment variable ${goQuote(wrong)}`);
}

function validateDeviceNode({ path, type, permissions }: DeviceNode): void {
  if (path === "") throw new Error("invalid (empty) device path");
  if (type !== "" && deviceTypes.every((known) => known !== type))
    throw new Error(`device ${goQuote(path)}: invalid type ${goQuote(type)}`);
  if (/[^rwm]/.test(permissions)) {
    throw new Error(`device ${goQuote(path)}: invalid permissions ${goQuote(permissions)}`);
  }
}
