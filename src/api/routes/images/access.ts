import type { FastifyRequest } from "fastify";
import { isOlder } from "#api-schema/versions";
import { EngineError } from "#base/errors";
import { type Access, type Platform, parseCredentials } from "#engine";

/** What the client brings along for the registry. Unreadable credentials count as none, as in moby. */
export function accessOf({ headers }: Pick<FastifyRequest, "headers">): Access {
  const auth = headers["x-registry-auth"];
  const meta = Object.entries(headers).filter(([name]) => name.startsWith("x-meta-"));
  return {
    credentials: parseCredentials(typeof auth === "string" ? auth : undefined),
    headers: Object.fromEntries(meta.map(([name, value]) => [name, String(value)])),
  };
}

/** The `platform` query word as JSON (moby httputils.DecodePlatform); older versions did not know it. */
export function platformOf(request: FastifyRequest, since: string): { platform?: Platform } {
  const values = request.form.getAll("platform");
  if (isOlder(request.apiVersion, since) || (values[0] ?? "") === "") return {};
  if (values.length > 1) throw invalid("multiple platform parameters not supported");
  return { platform: decodePlatform(values[0] ?? "") };
}

export function decodePlatform(text: string): Platform {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch (cause) {
    const first = text.trimStart()[0];
    const why =
      first === undefined
        ? "unexpected end of JSON input"
        : `invalid character '${first}' looking for beginning of value`;
    throw new EngineError("invalidParameter", `failed to parse platform: ${why}`, { cause });
  }
  const entries = typeof fields === "object" && fields !== null ? Object.entries(fields) : [];
  const textOf = (name: string) => {
    const value: unknown = entries.find(([key]) => key.toLowerCase() === name)?.[1] ?? "";
    if (typeof value !== "string")
      throw invalid(
        `failed to parse platform: json: cannot unmarshal into Go struct field Platform.${name} of type string`,
      );
    return value;
  };
  const platform = {
    os: textOf("os"),
    architecture: textOf("architecture"),
    variant: textOf("variant"),
    osVersion: textOf("os.version"),
  };
  if (platform.os !== "" && platform.architecture !== "") return platform;
  const hasOptional = platform.variant !== "" || platform.osVersion !== "";
  if (platform.os === "" && platform.architecture === "" && hasOptional) {
    throw invalid("optional platform fields provided, but OS and Architecture are missing");
  }
  throw invalid("both OS and Architecture must be provided");
}

const invalid = (message: string) => new EngineError("invalidParameter", message);
