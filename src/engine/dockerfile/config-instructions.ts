import { posix } from "node:path";
import type { ContainerConfig, HealthConfig } from "#api-schema/container-config";
import { readDuration } from "#base/duration";
import { EngineError } from "#base/errors";
import { goQuote } from "#base/strconv";
import type { Statement } from "./lines.ts";
import { parseExposed } from "./ports.ts";
import { checkSignal } from "./signals.ts";
import { expandWord, expandWords, parseExecForm, splitPairs } from "./words.ts";

/** Where an instruction does its work: the config it changes, and what a stage remembers besides. */
export interface ConfigState {
  readonly config: ContainerConfig;
  readonly escapeToken: string;
  /** A CMD of this very script survives a later ENTRYPOINT. */
  hasOwnCmd: boolean;
}

const defaultShell = ["/bin/sh", "-c"];
const nsPerMs = 1_000_000;
const invalid = (message: string) => new EngineError("invalidParameter", message);

type Instruction = (state: ConfigState, statement: Statement) => void;

/** The instructions that change nothing but the image's config (moby builder/dockerfile/dispatchers.go). */
export const configInstructions: Readonly<Record<string, Instruction>> = {
  cmd: (state, statement) => {
    const words = commandOf(state, statement.rest);
    state.config.Cmd = words;
    if (words.length > 0 && statement.rest !== "") state.hasOwnCmd = true;
  },
  entrypoint: (state, statement) => {
    const words = commandOf(state, statement.rest);
    state.config.Entrypoint = words.length === 0 || statement.rest === "" ? null : words;
    if (!state.hasOwnCmd) state.config.Cmd = null;
  },
  env: (state, { rest }) => {
    // All values are expanded before the first is set: `ENV a=1 b=$a` sees the old a.
    const pairs = splitPairs(rest, "ENV", state.escapeToken).map(({ key, value }) => [
      expandText(state, key),
      expandText(state, value),
    ]);
    for (const [key = "", value = ""] of pairs) setEnv(state.config, key, value);
  },
  expose: (state, { rest }) => {
    if (rest === "") throw atLeastOne("EXPOSE");
    const ports = rest.split(/[\t\v\f\r ]+/).sort();
    const named = ports
      .flatMap((port) => expandWords(port, state.config.Env ?? [], state.escapeToken))
      .flatMap(parseExposed);
    state.config.ExposedPorts = { ...state.config.ExposedPorts, ...emptySet(named) };
  },
  healthcheck: (state, statement) => {
    state.config.Healthcheck = healthOf(statement);
  },
  label: (state, { rest }) => {
    const pairs = splitPairs(rest, "LABEL", state.escapeToken).map(({ key, value }) => [
      expandText(state, key),
      expandText(state, value),
    ]);
    state.config.Labels = { ...state.config.Labels, ...Object.fromEntries(pairs) };
  },
  onbuild: (state, statement) => {
    const expression = statement.original.replace(/^\s*ONBUILD\s*/i, "");
    const trigger = (/^\S*/.exec(statement.rest)?.[0] ?? "").toUpperCase();
    if (trigger === "") throw atLeastOne("ONBUILD");
    if (trigger === "ONBUILD") throw invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    if (trigger === "MAINTAINER" || trigger === "FROM") throw invalid(`${trigger} isn't allowed as an ONBUILD trigger`);
    state.config.OnBuild = [...(state.config.OnBuild ?? []), expression];
  },
  shell: (state, { rest }) => {
    const words = parseExecForm(rest);
    if (words === undefined && rest !== "") throw invalid("SHELL requires the arguments to be in JSON form");
    if (words === undefined || words.length === 0) throw atLeastOne("SHELL");
    state.config.Shell = words;
  },
  stopsignal: (state, { rest }) => {
    const signal = expandText(state, exactlyOne("STOPSIGNAL", rest));
    checkSignal(signal);
    state.config.StopSignal = signal;
  },
  user: (state, { rest }) => {
    state.config.User = expandText(state, exactlyOne("USER", rest));
  },
  volume: (state, { rest }) => {
    if (rest === "") throw atLeastOne("VOLUME");
    const paths = (parseExecForm(rest) ?? rest.split(/[\t\v\f\r ]+/)).map((path) => path.trim());
    if (paths.length === 0) throw atLeastOne("VOLUME");
    if (paths.includes("")) throw invalid("VOLUME specified can not be an empty string");
    state.config.Volumes = { ...state.config.Volumes, ...emptySet(paths.map((path) => expandText(state, path))) };
  },
  workdir: (state, { rest }) => {
    const path = expandText(state, exactlyOne("WORKDIR", rest));
    if (path === "") throw invalid("cannot normalize nothing");
    const base = state.config.WorkingDir === "" ? "/" : state.config.WorkingDir;
    state.config.WorkingDir = posix
      .join("/", posix.isAbsolute(path) ? path : posix.join(base, path))
      .replace(/(?<=.)\/$/, "");
  },
};

/** The exec form as it is, the shell form behind the image's shell. */
function commandOf(state: ConfigState, rest: string): string[] {
  const words = parseExecForm(rest);
  if (words !== undefined) return words;
  const shell = state.config.Shell ?? [];
  return [...(shell.length > 0 ? shell : defaultShell), ...(rest === "" ? [] : [rest])];
}

function setEnv(config: ContainerConfig, key: string, value: string): void {
  const environment = [...(config.Env ?? [])];
  const at = environment.findIndex((entry) => entry.split("=", 1)[0] === key);
  environment.splice(at < 0 ? environment.length : at, 1, `${key}=${value}`);
  config.Env = environment;
}

function healthOf({ rest, flags }: Statement): HealthConfig {
  const [, kind = "", command = ""] = /^(\S*)\s*(.*)$/s.exec(rest) ?? [];
  const health = { Test: null, Interval: 0, Timeout: 0, StartPeriod: 0, StartInterval: 0, Retries: 0 };
  switch (kind.toUpperCase()) {
    case "":
      throw atLeastOne("HEALTHCHECK");
    case "NONE":
      if (command !== "") throw invalid("HEALTHCHECK NONE takes no arguments");
      return { ...health, Test: ["NONE"] };
    case "CMD": {
      const words = parseExecForm(command);
      if (words?.length === 0 || command === "") throw invalid("Missing command after HEALTHCHECK CMD");
      const Test = words === undefined ? ["CMD-SHELL", command] : ["CMD", ...words];
      return { ...health, ...healthTimes(flags), Test };
    }
    default:
      throw invalid(`Unknown type ${goQuote(kind.toUpperCase())} in HEALTHCHECK (try CMD)`);
  }
}

function healthTimes(flags: readonly string[]): Omit<HealthConfig, "Test"> {
  const values = parseFlags(flags, ["interval", "timeout", "start-period", "start-interval", "retries"]);
  const retries = values.get("retries") ?? "";
  if (!/^[+-]?\d*$/.test(retries)) throw invalid(`strconv.ParseInt: parsing ${goQuote(retries)}: invalid syntax`);
  if (Number(retries) < 0) throw invalid(`--retries cannot be negative (${Number(retries)})`);
  return {
    Interval: interval("interval", values),
    Timeout: interval("timeout", values),
    StartPeriod: interval("start-period", values),
    StartInterval: interval("start-interval", values),
    Retries: Number(retries),
  };
}

function interval(name: string, values: ReadonlyMap<string, string>): number {
  const text = values.get(name) ?? "";
  if (text === "") return 0;
  const ns = readDuration(text);
  if (typeof ns !== "bigint") throw invalid(ns.fault);
  if (ns !== 0n && ns < nsPerMs) throw invalid(`Interval ${goQuote(name)} cannot be less than 1ms`);
  return Number(ns);
}

/** buildkit's BFlags: `--name=value`, each once. */
function parseFlags(flags: readonly string[], known: readonly string[]): Map<string, string> {
  const values = new Map<string, string>();
  for (const flag of flags) {
    const [, name = "", value] = /^--([^=]*)(?:=(.*))?$/s.exec(flag) ?? [];
    if (!known.includes(name)) throw invalid(`unknown flag: ${flag.split("=", 1)[0]}`);
    if (values.has(name)) throw invalid(`duplicate flag specified: ${name}`);
    if (value === undefined) throw invalid(`missing a value on flag: ${name}`);
    values.set(name, value);
  }
  return values;
}

const expandText = (state: ConfigState, text: string): string =>
  expandWord(text, state.config.Env ?? [], state.escapeToken);
const emptySet = (keys: readonly string[]) => Object.fromEntries(keys.map((key) => [key, {}]));
const atLeastOne = (command: string) => invalid(`${command} requires at least one argument`);

function exactlyOne(command: string, rest: string): string {
  if (rest === "") throw invalid(`${command} requires exactly one argument`);
  return rest;
}
