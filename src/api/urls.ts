/**
 * Docker's names may contain slashes (`/images/127.0.0.1:5000/team/app/json`), which moby matches with `{name:.*}`.
 * Fastify's `:param` is one segment, so before routing the segments that make up a name are folded into one
 * (`/images/127.0.0.1:5000%2Fteam%2Fapp/json`); the router decodes it again. A route asks for this by calling its
 * parameter `:name`; any other parameter is a single segment, as in moby.
 */
export class NamedPaths {
  readonly #shapes = new Map<string, Shape[]>();

  /** Called for every route that is added. */
  learn(method: string, url: string): void {
    const segments = segmentsOf(url);
    const at = segments.indexOf(":name");
    if (at < 0) return;
    const shape = { prefix: segments.slice(0, at), suffix: segments.slice(at + 1) };
    const shapes = [...(this.#shapes.get(method) ?? []), shape];
    // The longest tail wins: `/containers/x/attach/ws` is not a container called `x/attach`.
    this.#shapes.set(
      method,
      shapes.sort((a, b) => b.suffix.length - a.suffix.length),
    );
  }

  fold(method: string, path: string): string {
    const segments = segmentsOf(path);
    for (const { prefix, suffix } of this.#shapes.get(method) ?? []) {
      const end = segments.length - suffix.length;
      if (end <= prefix.length || !matchesAt(segments, 0, prefix) || !matchesAt(segments, end, suffix)) continue;
      const name = segments.slice(prefix.length, end).join("%2F");
      return `/${[...segments.slice(0, prefix.length), name, ...segments.slice(end)].join("/")}`;
    }
    return path;
  }
}

interface Shape {
  readonly prefix: readonly string[];
  readonly suffix: readonly string[];
}

export interface RequestTarget {
  /** "1.44", or "" when the path names none. */
  readonly version: string;
  readonly path: string;
  /** With its question mark, or "". */
  readonly query: string;
}

/** `/v1.44/containers/json?all=1` → 1.44, /containers/json, ?all=1. */
export function splitTarget(target: string): RequestTarget {
  const url = originForm(target);
  const mark = url.indexOf("?");
  const whole = mark < 0 ? url : url.slice(0, mark);
  const versioned = /^\/v([0-9.]+)(?=\/)/.exec(whole);
  return {
    version: versioned?.[1] ?? "",
    path: versioned === null ? whole : whole.slice(versioned[0].length),
    query: mark < 0 ? "" : url.slice(mark),
  };
}

/** RFC 9112, 3.2.2: what a proxy's client sends names the host once more. */
const originForm = (target: string): string =>
  target.startsWith("/") ? target : target.replace(/^[a-z]+:\/\/[^/?]*/i, "");

/** The path that gorilla/mux redirects to, or undefined when it is clean already (Go's path.Clean, trailing slash kept). */
export function cleanPath(given: string): string | undefined {
  const target = originForm(given);
  const mark = target.indexOf("?");
  const raw = mark < 0 ? target : target.slice(0, mark);
  const path = decoded(raw);
  if (path === undefined || !/\/(?:\/|\.\.?(?:\/|$))/.test(path)) return undefined;
  const kept: string[] = [];
  for (const segment of segmentsOf(path)) {
    if (segment === "..") kept.pop();
    else if (segment !== "" && segment !== ".") kept.push(segment);
  }
  const cleaned = `/${kept.join("/")}${kept.length > 0 && path.endsWith("/") ? "/" : ""}`;
  return encodeURI(cleaned) + target.slice(raw.length);
}

/** mux looks at what the escapes stand for; what is no escape is refused later. */
function decoded(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}

/** The name that a route's path carries. */
export interface Named {
  Params: { name: string };
}

export interface WithId {
  Params: { id: string };
}

const segmentsOf = (path: string): string[] => path.split("/").slice(1);

const matchesAt = (segments: readonly string[], at: number, wanted: readonly string[]): boolean =>
  wanted.every((segment, index) => segment.startsWith(":") || segments[at + index] === segment);
