export interface MediaType {
  readonly mediaType: string;
  /** What Go's mime.ParseMediaType complains about. */
  readonly problem?: string;
}

const token = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const parameter = new RegExp(`^\\s*;\\s*(${token})\\s*=\\s*(${token}|"(?:[^"\\\\]|\\\\.)*")`);

/** Reads a Content-Type header; dockerd's messages quote the reason. */
export function mediaTypeOf(header: string): MediaType {
  const cut = header.indexOf(";");
  const mediaType = (cut < 0 ? header : header.slice(0, cut)).trim().toLowerCase();
  const problem = typeProblem(mediaType) ?? (cut < 0 ? undefined : parameterProblem(header.slice(cut)));
  return problem === undefined ? { mediaType } : { mediaType, problem };
}

function typeProblem(mediaType: string): string | undefined {
  const [, type = "", rest = ""] = new RegExp(`^(${token})?(.*)$`, "s").exec(mediaType) ?? [];
  if (type === "") return "no media type";
  if (rest === "") return undefined;
  if (!rest.startsWith("/")) return "expected slash after first token";
  const [, subtype = "", extra = ""] = new RegExp(`^(${token})?(.*)$`, "s").exec(rest.slice(1)) ?? [];
  if (subtype === "") return "expected token after slash";
  return extra === "" ? undefined : "unexpected content after media subtype";
}

function parameterProblem(text: string): string | undefined {
  const names = new Set<string>();
  let rest = text;
  for (;;) {
    const found = parameter.exec(rest);
    // One semicolon too many at the end is forgiven.
    if (found === null) return /^\s*;?\s*$/.test(rest) ? undefined : "invalid media parameter";
    const name = (found[1] ?? "").toLowerCase();
    if (names.has(name)) return "duplicate parameter name";
    names.add(name);
    rest = rest.slice(found[0].length);
  }
}
