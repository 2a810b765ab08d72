import { EngineError } from "#base/errors";

/** Go's path.Match: `*` and `?` stop at slashes, `[a-z]` and `[^a]` are classes, `\` escapes. A bad pattern is an error. */
export function matchPath(pattern: string, text: string): boolean {
  return new RegExp(`^${translate(pattern)}$`, "su").test(text);
}

const badPattern = () => new EngineError("system", "syntax error in pattern");

function translate(pattern: string): string {
  let regexp = "";
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i] ?? "";
    if (char === "*") regexp += "[^/]*";
    else if (char === "?") regexp += "[^/]";
    else if (char === "\\") regexp += escaped(pattern[++i]);
    else if (char === "[") {
      const end = endOfClass(pattern, i);
      regexp += translateClass(pattern.slice(i + 1, end));
      i = end;
    } else regexp += escaped(char);
  }
  return regexp;
}

function endOfClass(pattern: string, start: number): number {
  for (let i = start + 1; i < pattern.length; i++) {
    if (pattern[i] === "\\") i++;
    else if (pattern[i] === "]" && !["", "^"].includes(pattern.slice(start + 1, i))) return i;
    else if (pattern[i] === "]") throw badPattern();
  }
  throw badPattern();
}

function translateClass(body: string): string {
  const isNegated = body.startsWith("^");
  const ranges = [...(isNegated ? body.slice(1) : body).matchAll(/(\\?.)(?:-(\\?.))?/gsu)];
  const one = (text: string | undefined) => escaped((text ?? "").replace(/^\\(?=.)/su, ""));
  const items = ranges.map(([, from, to]) => {
    if (from === "-" || to === "-") throw badPattern();
    if (to !== undefined && to < (from ?? "")) return "";
    return to === undefined ? one(from) : `${one(from)}-${one(to)}`;
  });
  if (items.join("") === "") return isNegated ? "[^/]" : "(?!)";
  // A class may match a slash in Go only when it names one; a negated one never does.
  return isNegated ? `(?!/)[^${items.join("")}]` : `[${items.join("")}]`;
}

function escaped(char: string | undefined): string {
  if (char === undefined || char === "") throw badPattern();
  // A hyphen means something in a class only, and outside of one `u` forbids to escape it; as a number it is itself in both.
  if (char === "-") return "\\x2d";
  return /[\\^$.*+?()[\]{}|/]/.test(char) ? `\\${char}` : char;
}
