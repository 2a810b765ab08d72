/**
 * Go's text/template as far as tags are written in it: fields, literals, variables, functions, pipes, `if`, `with`, `range`. Its
 * words for what is wrong are clients' to see.
 */
import { EngineError } from "#base/errors";
import { functions, isTruthy, shown, type TagFields, type TagValue } from "./tag-values.ts";

export function expandTag(template: string, fields: TagFields): string {
  return new Expansion(template).run({ dot: fields, variables: new Map([["$", fields]]) });
}

interface Scope {
  readonly dot: TagValue | TagFields;
  readonly variables: Map<string, TagValue | TagFields>;
}

interface Segment {
  readonly text: string;
  /** Where the action begins; undefined: plain text. */
  readonly at?: number;
}

const fault = (message: string): EngineError => new EngineError("system", `template: log-tag:1: ${message}`);

/** Reads and carries out in one go; what is not carried out is read all the same. */
class Expansion {
  readonly #segments: readonly Segment[];
  #next = 0;

  constructor(template: string) {
    this.#segments = segmentsOf(template);
  }

  run(scope: Scope): string {
    const { text, stop } = this.#body(scope);
    if (stop !== undefined) throw fault(`unexpected {{${stop.text}}}`);
    return text;
  }

  /** Up to an `else` or `end`, which is `stop`. Without a scope nothing is carried out. */
  #body(scope: Scope | undefined): { readonly text: string; readonly stop?: Segment } {
    let text = "";
    for (let segment = this.#segments[this.#next++]; segment !== undefined; segment = this.#segments[this.#next++]) {
      const [, keyword, rest = ""] = /^\s*(if|with|range|else|end)\b(.*)$/s.exec(segment.text) ?? [];
      if (segment.at === undefined) text += segment.text;
      else if (keyword === "else" || keyword === "end") return { text, stop: segment };
      else if (keyword === undefined) text += new Pipeline(segment.text, segment.at).shown(scope);
      else
        text += this.#control(
          keyword,
          new Pipeline(rest, segment.at + segment.text.length - rest.length, keyword),
          scope,
        );
    }
    return { text: scope === undefined ? "" : text };
  }

  #control(keyword: string, pipeline: Pipeline, outer: Scope | undefined): string {
    const scope = outer && { ...outer, variables: new Map(outer.variables) };
    const value = scope && pipeline.value(scope);
    const isTaken = value !== undefined && isTruthy(value as TagValue);
    if (keyword !== "range") for (const name of pipeline.declared) scope?.variables.set(name, value ?? "");
    const begin = this.#next;
    const scopes = isTaken && scope ? innerScopes(keyword, pipeline, value as TagValue, scope) : [undefined];
    let [text, stop]: [string, Segment | undefined] = ["", undefined];
    for (const inner of scopes) {
      this.#next = begin;
      const body = this.#body(inner);
      text += inner === undefined ? "" : body.text;
      stop = body.stop;
    }
    if (stop === undefined) throw fault("unexpected EOF");
    return text + this.#otherwise(stop, isTaken ? undefined : outer);
  }

  #otherwise(stop: Segment, scope: Scope | undefined): string {
    const [, keyword, rest = ""] = /^\s*else\s+(if|with)\b(.*)$/s.exec(stop.text) ?? [];
    if (keyword !== undefined) {
      const at = (stop.at ?? 0) + stop.text.length - rest.length;
      return this.#control(keyword, new Pipeline(rest, at, keyword), scope);
    }
    if (stop.text.trim() === "end") return "";
    const body = this.#body(scope);
    if (body.stop?.text.trim() !== "end")
      throw fault(body.stop === undefined ? "unexpected EOF" : "expected end; found {{else}}");
    return scope === undefined ? "" : body.text;
  }
}

function innerScopes(keyword: string, pipeline: Pipeline, value: TagValue, scope: Scope): Scope[] {
  if (keyword === "if") return [scope];
  if (keyword === "with") return [{ ...scope, dot: value }];
  if (typeof value !== "object") throw pipeline.failure(`range can't iterate over ${shown(value)}`);
  const items = Object.entries(value);
  if (!Array.isArray(value)) items.sort(([a], [b]) => (a < b ? -1 : 1));
  const [first, second] = pipeline.declared;
  return items.map(([key, item]) => {
    const variables = new Map(scope.variables);
    if (first !== undefined)
      variables.set(first, second === undefined ? item : Array.isArray(value) ? Number(key) : key);
    if (second !== undefined) variables.set(second, item);
    return { dot: item, variables };
  });
}

function segmentsOf(template: string): Segment[] {
  const segments: Segment[] = [];
  let rest = 0;
  for (const match of template.matchAll(/\{\{(-(?=\s))?(.*?)((?<=\s)-)?(\}\}|$)/gs)) {
    const [whole, trimsLeft, action = "", trimsRight, end] = match;
    if (end === "") throw fault("unclosed action");
    const before = template.slice(rest, match.index);
    segments.push({ text: trimsLeft === undefined ? before : before.trimEnd() });
    rest = match.index + whole.length;
    if (trimsRight !== undefined) rest += /^\s*/.exec(template.slice(rest))?.[0].length ?? 0;
    const at = match.index + 2 + (trimsLeft === undefined ? 0 : 1);
    if (!/^\s*\/\*.*\*\/\s*$/s.test(action)) segments.push({ text: action, at });
  }
  return [...segments, { text: template.slice(rest) }];
}

const token = /\s*("(?:\\.|[^"\\])*"|`[^`]*`|-?\d+(?:\.\d+)?|(?:\$\w*)?(?:\.\w+)+|\$\w*|\.|[A-Za-z]\w*|[|()])/y;

/** Of Go's, what is not done here. */
const foreign = new Set("block break call continue define html js nil slice template urlquery".split(" "));

interface Word {
  readonly word: string;
  readonly at: number;
  /** Of one in parentheses. */
  readonly inner?: readonly Command[];
}

type Command = readonly Word[];

class Pipeline {
  /** Of `$x := …`, and of `$i, $x := …` in a range. */
  readonly declared: readonly string[];
  readonly #commands: readonly Command[];

  constructor(action: string, offset: number, keyword = "command") {
    const [assignment = "", ...names] = /^\s*(\$\w+)\s*(?:,\s*(\$\w+)\s*)?:=/.exec(action) ?? [];
    this.declared = names.filter((name) => name !== undefined);
    const source = action.trimEnd();
    const words: Word[] = [];
    for (token.lastIndex = assignment.length; token.lastIndex < source.length; ) {
      const word = token.exec(source)?.[1];
      if (word === undefined) throw fault(`unsupported action {{${action}}}`);
      words.push({ word, at: offset + token.lastIndex - word.length });
      if (foreign.has(word)) throw fault(`unsupported action {{${action}}}`);
      const isName = /^[A-Za-z]/.test(word) && word !== "true" && word !== "false";
      if (isName && !Object.hasOwn(functions, word)) throw fault(`function "${word}" not defined`);
    }
    this.#commands = commandsOf(words, false);
    if (this.#commands.some((command) => command.length === 0)) throw fault(`missing value for ${keyword}`);
  }

  shown(scope: Scope | undefined): string {
    if (scope === undefined) return "";
    const value = this.value(scope);
    if (this.declared.length === 0) return shown(value as TagValue);
    for (const name of this.declared) scope.variables.set(name, value);
    return "";
  }

  value(scope: Scope): TagValue | TagFields {
    return evaluate(this.#commands, scope);
  }

  failure(reason: string): EngineError {
    const { word, at } = this.#commands[0]?.[0] ?? { word: "", at: 0 };
    return failure(word, at, reason);
  }
}

/** Takes its words from the front. */
function commandsOf(words: Word[], isInner: boolean): Command[] {
  const commands: Word[][] = [[]];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word.word === ")" && isInner) return commands;
    if (word.word === ")") throw fault("unexpected right paren");
    if (word.word === "|") commands.push([]);
    else commands.at(-1)?.push(word.word === "(" ? { ...word, inner: commandsOf(words, true) } : word);
  }
  if (isInner) throw fault("unclosed left paren");
  return commands;
}

function evaluate(commands: readonly Command[], scope: Scope): TagValue | TagFields {
  let piped: (TagValue | TagFields)[] = [];
  for (const [first, ...rest] of commands) {
    if (first === undefined) continue;
    const args = [...rest.map((word) => operand(word, scope)), ...piped];
    const called =
      first.inner === undefined && Object.hasOwn(functions, first.word) ? functions[first.word] : undefined;
    const wanted = called === undefined ? 0 : (called.arity ?? Math.max(1, args.length));
    if (wanted !== args.length) {
      const isLiteral = called === undefined && !first.word.startsWith(".");
      const reason = `wrong number of args for ${first.word.replace(/.*\./, "")}: want ${wanted} got ${args.length}`;
      throw failure(first.word, first.at, isLiteral ? `can't give argument to non-function ${first.word}` : reason);
    }
    piped = [called === undefined ? operand(first, scope) : called.call(...(args as TagValue[]))];
  }
  return piped[0] ?? "";
}

function operand({ word, at, inner }: Word, scope: Scope): TagValue | TagFields {
  if (inner !== undefined) return evaluate(inner, scope);
  if (word.startsWith("`")) return word.slice(1, -1);
  if (word.startsWith('"')) return JSON.parse(word) as string;
  if (word === "true" || word === "false") return word === "true";
  if (word === ".") return scope.dot;
  if (!/^[.$]/.test(word)) return Number(word);
  const [name = "", ...keys] = word.split(".");
  const start = name === "" ? scope.dot : scope.variables.get(name);
  if (start === undefined) throw fault(`undefined variable "${name}"`);
  return keys.reduce((value, key) => fieldOf(value, key, { word, at: at + word.lastIndexOf(".") }), start);
}

function fieldOf(value: TagValue | TagFields, key: string, { word, at }: Word): TagValue | TagFields {
  const fields = value as TagFields;
  if (typeof value === "object" && !Array.isArray(value) && Object.hasOwn(fields, key)) return fields[key] ?? "";
  const isInfo = typeof value === "object" && Object.hasOwn(fields, "ContainerID");
  if (typeof value === "object" && !Array.isArray(value) && !isInfo) return "<no value>";
  const type = isInfo
    ? "*logger.Info"
    : typeof value === "object"
      ? "[]string"
      : typeof value === "number"
        ? "int"
        : typeof value;
  throw failure(word, at, `can't evaluate field ${key} in type ${type}`);
}

const failure = (word: string, at: number, reason: string): EngineError =>
  new EngineError("system", `template: log-tag:1:${at}: executing "log-tag" at <${word}>: ${reason}`);
