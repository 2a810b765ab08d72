/** A CDI specification file as its text has it (github.com/cncf-tags/container-device-interface, SPEC.md), JSON or YAML. */
import { parseAllDocuments, type Tags } from "yaml";
import { attempt } from "#base/errors";
import type { Hook, IntelRdt } from "#runtime";
import { Fields } from "../fields.ts";

export interface CdiSpec {
  readonly version: string;
  /** "vendor.com/class". */
  readonly kind: string;
  readonly hasAnnotations: boolean;
  readonly devices: readonly CdiDevice[];
  /** For every container that is given one of the devices. */
  readonly edits: ContainerEdits;
}

export interface CdiDevice {
  readonly name: string;
  readonly edits: ContainerEdits;
}

export interface ContainerEdits {
  readonly env: readonly string[];
  readonly deviceNodes: readonly DeviceNode[];
  readonly hooks: readonly CdiHook[];
  readonly mounts: readonly CdiMount[];
  readonly intelRdt: IntelRdt | undefined;
  readonly additionalGids: readonly number[];
}

export interface DeviceNode {
  readonly path: string;
  readonly hostPath: string;
  readonly type: string;
  readonly major: number;
  readonly minor: number;
  readonly fileMode: number | undefined;
  readonly permissions: string;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

/** As the OCI specification has it, with its place. */
export interface CdiHook extends Hook {
  readonly hookName: string;
}

export interface CdiMount {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly options: readonly string[];
  readonly type: string;
}

/** Undefined for a file that says nothing. */
export function parseSpec(text: string): CdiSpec | undefined {
  const document = fromYaml(text);
  if (document === undefined || document === null) return undefined;
  return attempt("error unmarshaling JSON: while decoding JSON", () => readSpec(document));
}

/** Go's reader is one for YAML 1.1, in which 0666 is octal; days are texts to it. */
const withoutTimestamps = (tags: Tags): Tags =>
  tags.filter((tag) => typeof tag === "string" || tag.tag !== "tag:yaml.org,2002:timestamp");

/** The first document; JSON is YAML too. */
function fromYaml(text: string): unknown {
  const [document] = parseAllDocuments(text, { version: "1.1", customTags: withoutTimestamps });
  if (document === undefined) return undefined;
  const [error] = document.errors;
  if (error !== undefined) throw new Error(`error converting YAML to JSON: yaml: ${error.message.split("\n", 1)[0]}`);
  return withTexts(document.toJS());
}

const typed = new Set("major minor filemode uid gid timeout additionalgids enablecmt enablembm".split(" "));

/** Everything else is a text, also what YAML reads as a number: a device may be called 0. */
function withTexts(value: unknown, key = ""): unknown {
  if (Array.isArray(value)) return value.map((item) => withTexts(item, key));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, withTexts(item, name.toLowerCase())]));
  }
  const isScalar = typeof value === "number" || typeof value === "boolean";
  return isScalar && !typed.has(key) ? String(value) : value;
}

function readSpec(document: unknown): CdiSpec {
  const spec = new Fields(document, "", "specs.Spec");
  spec.only("cdiVersion", "kind", "annotations", "devices", "containerEdits");
  return {
    version: spec.text("cdiVersion"),
    kind: spec.text("kind"),
    devices: spec.objects("devices", "specs.Device").map((device) => ({
      name: device.only("name", "annotations", "containerEdits").text("name"),
      edits: readEdits(device),
    })),
    edits: readEdits(spec),
    hasAnnotations: [spec, ...spec.objects("devices", "specs.Device")].some(hasAnnotations),
  };
}

const hasAnnotations = (fields: Fields): boolean => Object.keys(fields.map("annotations") ?? {}).length > 0;

function readEdits(owner: Fields): ContainerEdits {
  const edits = owner.object("containerEdits", "specs.ContainerEdits");
  edits.only("env", "deviceNodes", "hooks", "mounts", "intelRdt", "additionalGids");
  return {
    env: edits.texts("env") ?? [],
    deviceNodes: edits.objects("deviceNodes", "*specs.DeviceNode").map(readDeviceNode),
    hooks: edits.objects("hooks", "*specs.Hook").map(readHook),
    mounts: edits.objects("mounts", "*specs.Mount").map(readMount),
    intelRdt: edits.isNull("intelRdt") ? undefined : readIntelRdt(edits.object("intelRdt", "specs.IntelRdt")),
    additionalGids: edits.numbers("additionalGids", "uint32"),
  };
}

const uint32 = (fields: Fields, name: string): number | undefined =>
  fields.isNull(name) ? undefined : fields.number(name, "uint32");

function readDeviceNode(node: Fields): DeviceNode {
  node.only("path", "hostPath", "type", "major", "minor", "fileMode", "permissions", "uid", "gid");
  return {
    path: node.text("path"),
    hostPath: node.text("hostPath"),
    type: node.text("type"),
    major: node.number("major", "int64"),
    minor: node.number("minor", "int64"),
    fileMode: uint32(node, "fileMode"),
    permissions: node.text("permissions"),
    uid: uint32(node, "uid"),
    gid: uint32(node, "gid"),
  };
}

function readHook(hook: Fields): CdiHook {
  hook.only("hookName", "path", "args", "env", "timeout");
  return {
    hookName: hook.text("hookName"),
    path: hook.text("path"),
    args: hook.texts("args") ?? [],
    env: hook.texts("env") ?? [],
    ...(hook.isNull("timeout") ? {} : { timeout: hook.number("timeout") }),
  };
}

function readMount(mount: Fields): CdiMount {
  mount.only("hostPath", "containerPath", "options", "type");
  return {
    hostPath: mount.text("hostPath"),
    containerPath: mount.text("containerPath"),
    options: mount.texts("options") ?? [],
    type: mount.text("type"),
  };
}

function readIntelRdt(rdt: Fields): IntelRdt {
  rdt.only("closID", "l3CacheSchema", "memBwSchema", "enableCMT", "enableMBM");
  return {
    closID: rdt.text("closID"),
    l3CacheSchema: rdt.text("l3CacheSchema"),
    memBwSchema: rdt.text("memBwSchema"),
    enableCMT: rdt.flag("enableCMT"),
    enableMBM: rdt.flag("enableMBM"),
  };
}
