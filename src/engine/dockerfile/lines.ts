import { EngineError } from "#base/errors";

/** One instruction: its logical line cut into its parts (buildkit frontend/dockerfile/parser). */
export interface Statement {
  /** As written: `ENV`, `env`. */
  readonly command: string;
  /** `--interval=5s`, quotes and escapes resolved. */
  readonly flags: readonly string[];
  readonly rest: string;
  /** The logical line. */
  readonly original: string;
  /** Where it begins, from 1. */
  readonly line: number;
}

export interface Script {
  readonly statements: readonly Statement[];
  readonly escapeToken: "\\" | "`";
}

/** Cuts a text into instructions: comments, continuation lines and the `escape` directive. */
export function parseScript(text: string): Script {
  const lines = text
    .replace(/^\uFEFF/, "")
    .split("\n")
    .map((line) => line.replace(/\r+$/, ""));
  const escapeToken = findEscape(lines);
  const continued = escapeToken === "`" ? /([^`])`[ \t]*$|^`[ \t]*$/ : /([^\\])\\[ \t]*$|^\\[ \t]*$/;
  const statements: Statement[] = [];
  for (let i = 0; i < lines.length; i++) {
    const start = i + 1;
    let line = isComment(lines[i]) ? "" : (lines[i] ?? "").trimStart();
    let isOpen = continued.test(line);
    let logical = line.replace(continued, "$1");
    while (isOpen && i + 1 < lines.length) {
      line = lines[++i] ?? "";
      if (isComment(line) || line.trim() === "") continue;
      isOpen = continued.test(line);
      logical += line.replace(continued, "$1");
    }
    if (logical.trim() !== "") statements.push(splitStatement(logical, escapeToken, start));
  }
  if (statements.length === 0) throw new EngineError("invalidParameter", "file with no instructions");
  return { statements, escapeToken };
}

export function splitStatement(logical: string, escapeToken: string, line: number): Statement {
  const [, command = "", args = ""] = /^([^\t\v\f\r ]+)(?:[\t\v\f\r ]+(.*))?$/su.exec(logical.trim()) ?? [];
  const { flags, rest } = takeFlags(args, escapeToken);
  return { command, flags, rest: rest.trim(), original: logical, line };
}

const isComment = (line: string | undefined): boolean => line?.trimStart().startsWith("#") ?? false;

/** Directives stand before everything else; the first line that is none ends them. */
function findEscape(lines: readonly string[]): Script["escapeToken"] {
  for (const line of lines) {
    const match = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/.exec(line.trimStart());
    if (match === null) break;
    if (match[1]?.toLowerCase() !== "escape") continue;
    if (match[2] === "\\" || match[2] === "`") return match[2];
    throw new EngineError("invalidParameter", `invalid escape token '${match[2]}' does not match \` or \\`);
  }
  return "\\";
}

/** Leading words that begin with `--`; a bare `--` ends them. */
function takeFlags(text: string, escapeToken: string): { readonly flags: string[]; readonly rest: string } {
  const flags: string[] = [];
  let at = 0;
  for (;;) {
    while (isSpace(text[at])) at++;
    if (!text.startsWith("--", at)) return { flags, rest: text.slice(at) };
    const word = readFlag(text, at, escapeToken);
    at = word.end;
    if (word.text === "--") return { flags, rest: text.slice(at) };
    flags.push(word.text);
  }
}

function readFlag(text: string, start: number, escapeToken: string): { readonly text: string; readonly end: number } {
  let word = "";
  let quote = "";
  let at = start;
  for (; at < text.length; at++) {
    const char = text[at] ?? "";
    if (quote === "" && isSpace(char)) break;
    if (char === quote) quote = "";
    else if (quote === "" && (char === "'" || char === '"')) quote = char;
    else if (char === escapeToken) word += text[++at] ?? "";
    else word += char;
  }
  return { text: word, end: at };
}

export const isSpace = (char: string | undefined): boolean => char !== undefined && char !== "" && /\s/.test(char);
