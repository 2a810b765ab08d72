import assert from "node:assert/strict";
import test from "node:test";
import { ContainerConfig, HostConfig } from "#api-schema/container-config";
import { EngineError } from "#base/errors";
import { encode } from "../../src/api/encode.ts";
import { planMounts } from "../../src/engine/container/create/mounts.ts";
import { adaptHostConfig, checkNamed, settle } from "../../src/engine/container/create/prepare.ts";
import { checkRequest } from "../../src/engine/container/validate/create.ts";
import {
  daemonDefaults,
  imageConfig,
  recordedRefusals,
  recordedVariants,
  recordingHost,
  refusals,
  requestOf,
  variants,
} from "./create-fixtures.ts";

const existing = new Set(["/usr", "/srv/made-by-mount"]);
const surroundings = {
  host: recordingHost,
  defaults: daemonDefaults,
  exists: (path: string) => existing.has(path),
  findContainer: () => undefined,
};

function prepare(body: (typeof variants)[string]) {
  const { request, warnings } = requestOf(body);
  const checked = checkRequest(request, surroundings);
  const image = typeof body.Image === "string" ? imageConfig(body.Image) : undefined;
  const settled = settle(
    { ...checked, hostConfig: adaptHostConfig(checked.hostConfig, surroundings) },
    image,
    surroundings,
  );
  checkNamed(settled.hostConfig);
  planMounts(settled.hostConfig, "/var/lib/peers/specpeer");
  return { ...settled, warnings: [...checked.warnings, ...warnings] };
}

/** What needs a service beside the request: an image store, volumes, other containers, a root file system. */
const elsewhere = new Set([
  "image unknown",
  "no image",
  "volume driver unknown",
  "volumes from empty",
  "volumes from mode",
  "volumes from nocopy",
  "volumes from nobody",
  "volume name",
  "volume name short",
  "working dir over file",
  "volume over file",
]);

const statusOf = { invalidParameter: 400, system: 500 } as Readonly<Record<string, number>>;

for (const [name, body] of Object.entries(refusals)) {
  if (elsewhere.has(name)) continue;
  test(`create: "${name}" gets dockerd's answer`, () => {
    const recorded = recordedRefusals[name];
    try {
      const { warnings } = prepare(body);
      assert.deepEqual({ status: 201, warnings }, { status: recorded?.status, warnings: recorded?.body.Warnings });
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      const answer = { status: statusOf[error.kind], message: error.message };
      assert.deepEqual(answer, { status: recorded?.status, message: recorded?.body.message });
    }
  });
}

for (const [name, body] of Object.entries(variants)) {
  test(`create: "${name}" is kept as dockerd keeps it`, () => {
    const recorded = recordedVariants[name];
    const { config, hostConfig, path, args, warnings } = prepare(body);
    const shownConfig = JSON.parse(encode(ContainerConfig, config));
    // A default hostname is the id, which is not known yet.
    if (shownConfig.Hostname === "") shownConfig.Hostname = recorded?.created.Config.Hostname;
    if (hostConfig.NetworkMode === "host") shownConfig.Hostname = recorded?.created.Config.Hostname;
    // A request without HostConfig is dockerd's only one that keeps Volumes null.
    if (recorded?.created.Config.Volumes === null) shownConfig.Volumes = null;
    assert.deepEqual(shownConfig, recorded?.created.Config);
    assert.deepEqual(JSON.parse(encode(HostConfig, hostConfig)), recorded?.created.HostConfig);
    assert.deepEqual({ Path: path, Args: args }, { Path: recorded?.created.Path, Args: recorded?.created.Args });
    assert.deepEqual(warnings, recorded?.answer.body.Warnings);
  });
}
