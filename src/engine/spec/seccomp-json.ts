/** Reads the profile of `--security-opt seccomp=…`: JSON from the API's caller, checked as Go's decoder checks it. */
import { goQuote } from "#base/strconv";
import type { SeccompAction, SeccompArgument, SeccompOperator } from "#runtime";
import type { ProfileCondition, ProfileRule, SeccompProfile } from "./seccomp.ts";

type JsonObject = Readonly<Record<string, unknown>>;

/** Throws a plain text: dockerd finds a bad profile only at the start, and calls it a failure of its own. */
export function parseProfile(text: string): SeccompProfile {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new Error(`Decoding seccomp profile failed: ${syntaxError(text)}`, { cause });
  }
  const profile = objectOf(parsed, "profile");
  const archMap = listOf(profile.archMap, "archMap").map((entry) => architectureOf(objectOf(entry, "archMap")));
  const architectures = stringsOf(profile.architectures, "architectures");
  if (architectures.length > 0 && archMap.length > 0) {
    throw new Error(
      "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'",
    );
  }
  return {
    // The runtime refuses an action that it does not know; moby passes it on.
    defaultAction: stringOf(profile.defaultAction, "defaultAction") as SeccompAction,
    ...optionalNumber(profile, "defaultErrnoRet"),
    ...optionalStrings(profile, "flags"),
    ...(architectures.length === 0 ? {} : { architectures }),
    ...optionalString(profile, "listenerPath"),
    ...optionalString(profile, "listenerMetadata"),
    archMap,
    syscalls: listOf(profile.syscalls, "syscalls").map((rule) => ruleOf(objectOf(rule, "syscalls"))),
  };
}

/** Go's words for the common cases: nothing there, and cut off in the middle. */
function syntaxError(text: string): string {
  const opened = text.trimStart();
  if (opened === "" || /^[{[]/.test(opened)) return "unexpected end of JSON input";
  return `invalid character '${opened[0]}' looking for beginning of value`;
}

function architectureOf(entry: JsonObject): { architecture: string; subArchitectures: string[] } {
  return {
    architecture: stringOf(entry.architecture, "architecture"),
    subArchitectures: stringsOf(entry.subArchitectures, "subArchitectures"),
  };
}

function ruleOf(rule: JsonObject): ProfileRule {
  const name = stringOf(rule.name, "name");
  const names = stringsOf(rule.names, "names");
  if (name !== "" && names.length > 0) {
    throw new Error("both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'");
  }
  const args = listOf(rule.args, "args").map((argument) => argumentOf(objectOf(argument, "args")));
  return {
    names: name === "" ? names : [name],
    action: stringOf(rule.action, "action") as SeccompAction,
    ...optionalNumber(rule, "errnoRet"),
    ...(args.length === 0 ? {} : { args }),
    ...conditionOf(rule, "includes"),
    ...conditionOf(rule, "excludes"),
  };
}

function argumentOf(argument: JsonObject): SeccompArgument {
  return {
    index: numberOf(argument.index, "index"),
    value: numberOf(argument.value, "value"),
    valueTwo: numberOf(argument.valueTwo, "valueTwo"),
    op: stringOf(argument.op, "op") as SeccompOperator,
  };
}

function conditionOf<K extends "includes" | "excludes">(rule: JsonObject, key: K): { [P in K]?: ProfileCondition } {
  const value = rule[key];
  if (value === undefined || value === null) return {};
  const condition = objectOf(value, key);
  const minKernel = stringOf(condition.minKernel, "minKernel");
  if (minKernel !== "" && !/^(?!0+\.0+$)\d{1,3}\.\d{1,3}$/.test(minKernel)) {
    throw new Error(
      `Decoding seccomp profile failed: invalid kernel version: ${goQuote(minKernel)}, expected "<kernel>.<major>"`,
    );
  }
  const parsed: ProfileCondition = {
    caps: stringsOf(condition.caps, "caps"),
    arches: stringsOf(condition.arches, "arches"),
    ...(minKernel === "" ? {} : { minKernel }),
  };
  return { [key]: parsed } as { [P in K]?: ProfileCondition };
}

const mismatch = (field: string, value: unknown): Error =>
  new Error(
    `Decoding seccomp profile failed: json: cannot unmarshal ${typeName(value)} into Go struct field Seccomp.${field}`,
  );

function typeName(value: unknown): string {
  if (Array.isArray(value)) return "array";
  return typeof value === "boolean" ? "bool" : typeof value;
}

/** null and absent are the zero value, as everywhere in Go's JSON. */
function stringOf(value: unknown, field: string): string {
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") throw mismatch(field, value);
  return value;
}

function numberOf(value: unknown, field: string): number {
  if (value === undefined || value === null) return 0;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0) throw mismatch(field, value);
  return value;
}

function listOf(value: unknown, field: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw mismatch(field, value);
  return value;
}

const stringsOf = (value: unknown, field: string): string[] =>
  listOf(value, field).map((item) => stringOf(item, field));

function objectOf(value: unknown, field: string): JsonObject {
  if (value === null || value === undefined) return {};
  if (typeof value !== "object" || Array.isArray(value)) throw mismatch(field, value);
  return value as JsonObject;
}

function optionalNumber<K extends string>(from: JsonObject, key: K): { [P in K]?: number } {
  const value = from[key];
  return value === undefined || value === null ? {} : ({ [key]: numberOf(value, key) } as { [P in K]?: number });
}

function optionalString<K extends string>(from: JsonObject, key: K): { [P in K]?: string } {
  const value = stringOf(from[key], key);
  return value === "" ? {} : ({ [key]: value } as { [P in K]?: string });
}

function optionalStrings<K extends string>(from: JsonObject, key: K): { [P in K]?: string[] } {
  const value = stringsOf(from[key], key);
  return value.length === 0 ? {} : ({ [key]: value } as { [P in K]?: string[] });
}
