import type { FastifyRequest } from "fastify";
import { OciPlatform } from "#api-schema/image";
import { isOlder } from "#api-schema/versions";
import { EngineError } from "#base/errors";
import { JsonSyntaxError, parseWholeJson } from "#base/json";
import { type Access, type Platform, parseCredentials } from "#engine";
import { decode, JsonTypeError } from "../../decode.ts";

/** What the client brings along for the registry. Unreadable credentials count as none, as in moby. */
export function accessOf({ headers }: Pick<FastifyRequest, "headers">): Access {
  const auth = headers["x-registry-auth"];
  const meta = Object.entries(headers).filter(([name]) => name.startsWith("x-meta-"));
  return {
    credentials: parseCredentials(typeof auth === "string" ? auth : undefined),
    headers: Object.fromEntries(meta.map(([name, value]) => [name, String(value)])),
    client: headers["user-agent"] ?? "",
  };
}

/** The `platform` query word as JSON; older versions did not know it. */
export function platformOf({ form, apiVersion }: FastifyRequest, since: string): { platform?: Platform } {
  const text = form.get("platform");
  return text === "" || isOlder(apiVersion, since) ? {} : { platform: decodePlatform(text) };
}

/** The same where two platforms are refused, as moby does for archives. */
export function onlyPlatformOf(request: FastifyRequest, since: string): { platform?: Platform } {
  if (!isOlder(request.apiVersion, since) && request.form.getAll("platform").length > 1)
    throw invalid("multiple platform parameters not supported");
  return platformOf(request, since);
}

/** moby httputils.DecodePlatform. */
export function decodePlatform(text: string): Platform {
  const { os, architecture, variant, ...rest } = parsePlatformJson(text);
  const platform = { os, architecture, variant, osVersion: rest["os.version"] };
  if (os !== "" && architecture !== "") return platform;
  const hasOptional = variant !== "" || platform.osVersion !== "" || (rest["os.features"] ?? []).length > 0;
  if (os === "" && architecture === "" && hasOptional) {
    throw invalid("optional platform fields provided, but OS and Architecture are missing");
  }
  throw invalid("both OS and Architecture must be provided");
}

function parsePlatformJson(text: string): OciPlatform {
  try {
    return decode(OciPlatform, parseWholeJson(text), "named");
  } catch (error) {
    const isJson = error instanceof JsonSyntaxError || error instanceof JsonTypeError;
    throw isJson ? invalid(`failed to parse platform: ${error.message}`, error) : error;
  }
}

const invalid = (message: string, cause?: unknown) => new EngineError("invalidParameter", message, { cause });
