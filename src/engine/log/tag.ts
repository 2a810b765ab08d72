/** What tags are written in of Go's text/template: fields, literals, functions and pipes (moby daemon/logger/templates). */
import { EngineError } from "#base/errors";

export type TagValue = string | number | readonly string[] | Readonly<Record<string, string>>;
export type TagFields = Readonly<Record<string, TagValue>>;

interface TagFunction {
  readonly arity: number;
  readonly call: (...args: TagValue[]) => TagValue;
}

const text = String;
const functions: Readonly<Record<string, TagFunction>> = {
  json: { arity: 1, call: (value) => JSON.stringify(value) },
  lower: { arity: 1, call: (value) => text(value).toLowerCase() },
  upper: { arity: 1, call: (value) => text(value).toUpperCase() },
  title: { arity: 1, call: (value) => text(value).replace(/(?<![\p{L}\p{N}_'])\p{L}/gu, (c) => c.toUpperCase()) },
  split: { arity: 2, call: (value, separator) => text(value).split(text(separator)) },
  join: { arity: 2, call: (list, separator) => (Array.isArray(list) ? list.join(text(separator)) : text(list)) },
  truncate: { arity: 2, call: (value, length) => text(value).slice(0, Number(length)) },
  pad: { arity: 3, call: (value, before, after) => padded(text(value), Number(before), Number(after)) },
  len: { arity: 1, call: (value) => (typeof value === "object" ? Object.keys(value).length : text(value).length) },
  index: { arity: 2, call: (value, key) => (typeof value === "object" ? ((value as TagFields)[text(key)] ?? "") : "") },
};

const padded = (value: string, before: number, after: number): string =>
  value === "" ? "" : " ".repeat(before) + value + " ".repeat(after);

export function expandTag(template: string, fields: TagFields): string {
  const trimmed = template.replace(/\s*\{\{-(?=\s)/g, "{{").replace(/(?<=\s)-\}\}\s*/g, "}}");
  return trimmed.replace(/\{\{(.*?)(\}\}|$)/gs, (_, action: string, end: string, at: number) => {
    if (end === "") throw fault("unclosed action");
    if (/^\/\*.*\*\/$/s.test(action)) return "";
    return shown(new Pipeline(action, at + 2, fields).value());
  });
}

/** As Go's fmt prints it. */
function shown(value: TagValue): string {
  if (typeof value !== "object") return text(value);
  if (Array.isArray(value)) return `[${value.join(" ")}]`;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `map[${entries.map(([key, item]) => `${key}:${item}`).join(" ")}]`;
}

const fault = (message: string): EngineError => new EngineError("system", `template: log-tag:1: ${message}`);

/** Of Go's, what is not done here. */
const foreign = new Set(
  "if range with else end define template block and or not eq ne lt le gt ge html js urlquery print printf println slice call".split(
    " ",
  ),
);
const token = /\s*("(?:\\.|[^"\\])*"|`[^`]*`|-?\d+|\.\w+|[A-Za-z]\w*|\|)/y;

class Pipeline {
  readonly #commands: { readonly word: string; readonly at: number }[][] = [[]];
  readonly #fields: TagFields;

  constructor(action: string, offset: number, fields: TagFields) {
    this.#fields = fields;
    const source = action.trimEnd();
    for (token.lastIndex = 0; token.lastIndex < source.length; ) {
      const word = token.exec(source)?.[1];
      if (word === undefined || foreign.has(word)) throw fault(`unsupported action {{${action}}}`);
      if (word === "|") this.#commands.push([]);
      else this.#commands.at(-1)?.push({ word, at: offset + token.lastIndex - word.length });
      if (/^[A-Za-z]/.test(word) && functions[word] === undefined) throw fault(`function "${word}" not defined`);
    }
    if (this.#commands.some((words) => words.length === 0)) throw fault("missing value for command");
  }

  value(): TagValue {
    let piped: TagValue[] = [];
    for (const [first, ...rest] of this.#commands) {
      if (first === undefined) continue;
      const args = [...rest.map(({ word, at }) => this.#operand(word, at)), ...piped];
      const called = functions[first.word];
      if (called === undefined ? args.length > 0 : called.arity !== args.length) {
        const reason = `wrong number of args for ${first.word}: want ${called?.arity ?? 0} got ${args.length}`;
        throw failure(first.word, first.at, reason);
      }
      piped = [called === undefined ? this.#operand(first.word, first.at) : called.call(...args)];
    }
    return piped[0] ?? "";
  }

  #operand(word: string, at: number): TagValue {
    if (word.startsWith("`")) return word.slice(1, -1);
    if (word.startsWith('"')) return JSON.parse(word) as string;
    if (!word.startsWith(".")) return Number(word);
    const value = this.#fields[word.slice(1)];
    if (value !== undefined) return value;
    throw failure(word, at, `can't evaluate field ${word.slice(1)} in type *logger.Info`);
  }
}

const failure = (word: string, at: number, reason: string): EngineError =>
  new EngineError("system", `template: log-tag:1:${at}: executing "log-tag" at <${word}>: ${reason}`);
