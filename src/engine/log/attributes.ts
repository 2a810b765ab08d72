/** `--log-opt labels=…,env=…,tag=…` put into every line of json-file (moby daemon/logger/loginfo.go, loggerutils/log_tag.go). */
import { EngineError, messageOf } from "#base/errors";
import { shortId } from "#base/ids";
import type { ContainerRecord } from "#storage";

type Texts = Readonly<Record<string, string>>;

export function logAttributes(record: ContainerRecord, options: Texts): Record<string, string> {
  const labels = record.config.Labels ?? {};
  // An entry without `=` is no variable here.
  const env = Object.fromEntries((record.config.Env ?? []).flatMap(variable));
  const attributes = new Map([
    ...chosen(labels, options.labels, options["labels-regex"]),
    ...chosen(env, options.env, options["env-regex"]),
  ]);
  const tag = expandTag(options.tag ?? "", record);
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

/** Go's dialect as far as it differs in what people write: flags in front, and Python's spelling of named groups. */
function compile(pattern: string): RegExp {
  const [, flags = "", rest = pattern] = /^\(\?([ims]+)\)(.*)$/s.exec(pattern) ?? [];
  try {
    return new RegExp(rest.replaceAll("(?P<", "(?<"), `u${flags}`);
  } catch (error) {
    throw new EngineError("system", `error parsing regexp: ${messageOf(error)}`);
  }
}

const unclosed = "template: log-tag:1: unclosed action";

function expandTag(template: string, record: ContainerRecord): string {
  const values: Texts = {
    ID: shortId(record.id),
    FullID: record.id,
    Name: record.name,
    // moby cuts the digest with its algorithm in front.
    ImageID: (record.imageId ?? "").slice(0, 12),
    ImageFullID: record.imageId ?? "",
    ImageName: record.config.Image,
    DaemonName: "docker",
  };
  return template.replace(/\{\{(.*?)(\}\}|$)/gs, (_, action: string, end: string) => {
    if (end === "") throw new EngineError("system", unclosed);
    const field = /^\s*\.(\w+)\s*$/.exec(action)?.[1];
    const value = field === undefined ? undefined : values[field];
    if (value !== undefined) return value;
    const reason =
      field === undefined ? `unsupported action {{${action}}}` : `can't evaluate field ${field} in type *logger.Info`;
    throw new EngineError("system", `template: log-tag:1:2: executing "log-tag" at <${action.trim()}>: ${reason}`);
  });
}
