/** `--log-opt labels=…,env=…,tag=…` put into every line of json-file (moby daemon/logger/loginfo.go, loggerutils/log_tag.go). */
import { hostname } from "node:os";
import { EngineError, messageOf } from "#base/errors";
import { goRegExp } from "#base/go-regexp";
import { shortId } from "#base/ids";
import type { ContainerRecord } from "#storage";
import { expandTag } from "./tag.ts";
import type { TagFields } from "./tag-values.ts";

type Texts = Readonly<Record<string, string>>;

export function logAttributes(record: ContainerRecord, options: Texts, logPath: string): Record<string, string> {
  const labels = record.config.Labels ?? {};
  // An entry without `=` is no variable here.
  const env = Object.fromEntries((record.config.Env ?? []).flatMap(variable));
  const hasEnv = Object.keys(env).length > 0;
  const attributes = new Map([
    ...chosen(labels, options.labels, options["labels-regex"]),
    // moby does not even look at the pattern where there is nothing to choose from.
    ...(hasEnv ? chosen(env, options.env, options["env-regex"]) : []),
  ]);
  const tag = expandTag(options.tag ?? "", tagFields(record, options, logPath));
  if (tag !== "") attributes.set("tag", tag);
  return Object.fromEntries(attributes);
}

function variable(entry: string): [string, string][] {
  const cut = entry.indexOf("=");
  return cut < 0 ? [] : [[entry.slice(0, cut), entry.slice(cut + 1)]];
}

function chosen(source: Texts, names = "", pattern = ""): [string, string][] {
  const wanted = new Set(names === "" ? [] : names.split(","));
  const regex = pattern === "" ? undefined : compile(pattern);
  return Object.entries(source).filter(([name]) => wanted.has(name) || regex?.test(name) === true);
}

function compile(pattern: string): RegExp {
  try {
    return goRegExp(pattern);
  } catch (error) {
    throw new EngineError("system", messageOf(error));
  }
}

/** moby's logger.Info and its methods. */
function tagFields(record: ContainerRecord, options: Texts, logPath: string): TagFields {
  const { id, name, config, path, args } = record;
  const imageId: string = record.imageId ?? "";
  return {
    ID: shortId(id),
    FullID: id,
    Name: name,
    // moby cuts the digest with its algorithm in front.
    ImageID: imageId.slice(0, 12),
    ImageFullID: imageId,
    ImageName: config.Image,
    DaemonName: "docker",
    Command: [path, ...args].join(" "),
    Hostname: hostname(),
    Config: options,
    ContainerID: id,
    ContainerName: `/${name}`,
    ContainerEntrypoint: path,
    ContainerArgs: args,
    ContainerImageID: imageId,
    ContainerImageName: config.Image,
    // As time.Time prints itself.
    ContainerCreated: record.created.replace("T", " ").replace("Z", " +0000 UTC"),
    ContainerEnv: config.Env ?? [],
    ContainerLabels: config.Labels ?? {},
    LogPath: logPath,
  };
}
