import { EngineError } from "#base/errors";
import { goQuote } from "#base/strconv";
import { isSpace } from "./lines.ts";

const invalid = (message: string) => new EngineError("invalidParameter", message);

/** Words between white space; quotes and escapes stay in, for `expandWord` to resolve. */
export function splitWords(text: string, escapeToken: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? "";
    if (quote === "" && isSpace(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
      continue;
    }
    word ??= "";
    if (char === escapeToken && quote !== "'") {
      if (at + 1 < text.length) word += char + text[++at];
      continue;
    }
    if (char === quote) quote = "";
    else if (quote === "" && (char === "'" || char === '"')) quote = char;
    word += char;
  }
  if (word !== undefined && word !== "") words.push(word);
  return words;
}

export interface Pair {
  readonly key: string;
  readonly value: string;
}

/** `KEY=value …`, or the old `KEY value` that runs to the end of the line. */
export function splitPairs(text: string, command: string, escapeToken: string): Pair[] {
  const words = splitWords(text, escapeToken);
  const [first] = words;
  if (first === undefined) throw invalid(`${command} requires at least one argument`);
  const pairs = first.includes("=") ? words.map(splitPair) : [splitOldPair(text, command)];
  if (pairs.some(({ key }) => key === "")) throw invalid(`${command} names can not be blank`);
  return pairs;
}

function splitPair(word: string): Pair {
  const cut = word.indexOf("=");
  if (cut >= 0) return { key: word.slice(0, cut), value: word.slice(cut + 1) };
  throw invalid(`Syntax error - can't find = in ${goQuote(word)}. Must be of the form: name=value`);
}

function splitOldPair(text: string, command: string): Pair {
  const match = /^([^\t\v\f\r ]+)[\t\v\f\r ]+(.*)$/su.exec(text);
  if (match === null) throw invalid(`${command} must have two arguments`);
  return { key: match[1] ?? "", value: match[2] ?? "" };
}

/** The exec form, `["a","b"]`; undefined for what is no JSON list. */
export function parseExecForm(text: string): string[] | undefined {
  if (!text.trimStart().startsWith("[")) return undefined;
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(list)) return undefined;
  return list.map((item: unknown) => {
    if (typeof item === "string") return item;
    throw invalid("when using JSON array syntax, arrays must be comprised of strings only");
  });
}

/** `NAME=value` entries, looked up from the end of the list as a shell's environment is: the last one counts. */
export type Environment = readonly string[];

export function lookUp(environment: Environment, name: string): string | undefined {
  return environment.findLast((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
}

/** Resolves quotes, escapes and variables, as the builder's shell lexer does. */
export function expandWord(word: string, environment: Environment, escapeToken: string): string {
  return expand(word, environment, escapeToken).text;
}

/** The same; but what a variable holds may be several words. */
export function expandWords(word: string, environment: Environment, escapeToken: string): string[] {
  return expand(word, environment, escapeToken).words;
}

function expand(word: string, environment: Environment, escapeToken: string): Expansion {
  try {
    return new Expander(word, environment, escapeToken).run("");
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw invalid(`failed to process ${goQuote(word)}: ${error.message}`);
  }
}

interface Expansion {
  readonly text: string;
  readonly words: string[];
}

class Expander {
  readonly #text: string;
  readonly #environment: Environment;
  readonly #escapeToken: string;
  #at = 0;

  constructor(text: string, environment: Environment, escapeToken: string) {
    this.#text = text;
    this.#environment = environment;
    this.#escapeToken = escapeToken;
  }

  /** Up to `stop`, which is taken too; to the end when it is empty. */
  run(stop: string): Expansion {
    let text = "";
    const words: string[] = [];
    let word = "";
    const add = (piece: string, canSplit: boolean) => {
      text += piece;
      for (const char of piece) {
        if (!canSplit || !isSpace(char)) word += char;
        else {
          if (word !== "") words.push(word);
          word = "";
        }
      }
    };
    while (this.#at < this.#text.length) {
      const char = this.#next();
      if (stop !== "" && char === stop) return { text, words: word === "" ? words : [...words, word] };
      if (char === "$") add(this.#variable(), true);
      else if (char === "'") add(this.#singleQuoted(), false);
      else if (char === '"') add(this.#doubleQuoted(), false);
      else if (char === this.#escapeToken) add(this.#next(), false);
      else add(char, true);
    }
    if (stop !== "") throw invalid("syntax error: missing '}'");
    return { text, words: word === "" ? words : [...words, word] };
  }

  #next(): string {
    return this.#text[this.#at++] ?? "";
  }

  #singleQuoted(): string {
    const end = this.#text.indexOf("'", this.#at);
    if (end < 0) throw invalid("unexpected end of statement while looking for matching single-quote");
    const text = this.#text.slice(this.#at, end);
    this.#at = end + 1;
    return text;
  }

  #doubleQuoted(): string {
    let text = "";
    while (this.#at < this.#text.length) {
      const char = this.#next();
      if (char === '"') return text;
      const next = this.#text[this.#at];
      if (char === "$") text += this.#variable();
      else if (char === this.#escapeToken && next !== undefined && ['"', "$", this.#escapeToken].includes(next))
        text += this.#next();
      else if (char !== this.#escapeToken || next !== undefined) text += char;
    }
    throw invalid("unexpected end of statement while looking for matching double-quote");
  }

  #name(): string {
    const pattern = /[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?\-$!]/y;
    pattern.lastIndex = this.#at;
    const name = pattern.exec(this.#text)?.[0] ?? "";
    this.#at += name.length;
    return name;
  }

  #variable(): string {
    if (this.#text[this.#at] !== "{") {
      const name = this.#name();
      return name === "" ? "$" : (lookUp(this.#environment, name) ?? "");
    }
    this.#at++;
    if (this.#at >= this.#text.length) throw invalid("syntax error: missing '}'");
    if ("{}:".includes(this.#text[this.#at] ?? "")) throw invalid("syntax error: bad substitution");
    const name = this.#name();
    const value = lookUp(this.#environment, name);
    const modifier = this.#next();
    if (modifier === "}") return value ?? "";
    return this.#modified(name, value, modifier === ":" ? `:${this.#next()}` : modifier);
  }

  /** `${name:-word}` and its kin; with a colon the empty value counts as none. */
  #modified(name: string, value: string | undefined, modifier: string): string {
    const operator = modifier.replace(":", "");
    if (operator === "" || !"-+?".includes(operator)) {
      // Go prints the end of the text as the replacement character.
      const shown = operator === "" ? `${modifier}\uFFFD` : modifier;
      throw invalid(`unsupported modifier (${shown}) in substitution`);
    }
    const word = this.run("}").text;
    const isUnset = value === undefined || (modifier.startsWith(":") && value === "");
    switch (operator) {
      case "-":
        return isUnset ? word : value;
      case "+":
        return isUnset ? "" : word;
      default: {
        if (!isUnset) return value;
        const why = word || `is not allowed to be ${value === undefined ? "unset" : "empty"}`;
        throw invalid(`${name}: ${why}`);
      }
    }
  }
}
