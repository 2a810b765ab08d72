/** moby api/types/container: what the verbs on containers answer (28.5, API 1.51), in Go's field order. */
import { Resources, RestartPolicy } from "#api-schema/container-config";
import * as go from "#api-schema/go";

export type CreateResponse = go.Static<typeof CreateResponse>;
export const CreateResponse = go.struct("container.CreateResponse", {
  Id: go.string(),
  Warnings: go.slice(go.string()),
});

/** The body of POST /containers/{id}/update. */
export type UpdateConfig = go.Static<typeof UpdateConfig>;
export const UpdateConfig = go.struct("container.UpdateConfig", { ...Resources.properties, RestartPolicy });

export type UpdateResponse = go.Static<typeof UpdateResponse>;
export const UpdateResponse = go.struct("container.UpdateResponse", { Warnings: go.slice(go.string()) });

export type WaitResponse = go.Static<typeof WaitResponse>;
export const WaitResponse = go.struct("container.WaitResponse", {
  Error: go.ptr(go.struct("container.WaitExitError", { Message: go.string({ omitempty: true }) }), { omitempty: true }),
  StatusCode: go.int64(),
});

export type TopResponse = go.Static<typeof TopResponse>;
export const TopResponse = go.struct("container.TopResponse", {
  Processes: go.slice(go.slice(go.string())),
  Titles: go.slice(go.string()),
});

/** Kind: 0 modified, 1 added, 2 deleted. The daemon answers with pkg/archive.Change, whose path comes first. */
export type FilesystemChange = go.Static<typeof FilesystemChange>;
export const FilesystemChange = go.struct("archive.Change", { Path: go.string(), Kind: go.int() });
export const FilesystemChanges = go.slice(FilesystemChange);

export type ContainerPruneReport = go.Static<typeof ContainerPruneReport>;
export const ContainerPruneReport = go.struct("container.PruneReport", {
  ContainersDeleted: go.slice(go.string()),
  SpaceReclaimed: go.uint64(),
});

/** The value of `X-Docker-Container-Path-Stat`; `mode` is Go's os.FileMode. */
export type PathStat = go.Static<typeof PathStat>;
export const PathStat = go.struct("container.PathStat", {
  name: go.string(),
  size: go.int64(),
  mode: go.uint32(),
  mtime: go.time(),
  linkTarget: go.string(),
});
