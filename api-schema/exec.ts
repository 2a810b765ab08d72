/** moby api/types/container/exec.go and api/types/backend (28.5, API 1.51), in Go's field order. */
import * as go from "#api-schema/go";

/** The body of POST /containers/{id}/exec. */
export type ExecOptions = go.Static<typeof ExecOptions>;
export const ExecOptions = go.struct("container.ExecOptions", {
  User: go.string(),
  Privileged: go.bool(),
  Tty: go.bool(),
  ConsoleSize: go.ptr(go.pair(go.uint()), { omitempty: true }),
  AttachStdin: go.bool(),
  AttachStderr: go.bool(),
  AttachStdout: go.bool(),
  DetachKeys: go.string(),
  Env: go.slice(go.string()),
  WorkingDir: go.string(),
  Cmd: go.slice(go.string()),
  Detach: go.bool(),
});

export type ExecCreateResponse = go.Static<typeof ExecCreateResponse>;
export const ExecCreateResponse = go.struct("common.IDResponse", { Id: go.string() });

/** The body of POST /exec/{id}/start. */
export type ExecStartOptions = go.Static<typeof ExecStartOptions>;
export const ExecStartOptions = go.struct("container.ExecStartOptions", {
  Detach: go.bool(),
  Tty: go.bool(),
  ConsoleSize: go.ptr(go.pair(go.uint()), { omitempty: true }),
});

export type ExecInspect = go.Static<typeof ExecInspect>;
export const ExecInspect = go.struct("backend.ExecInspect", {
  ID: go.string(),
  Running: go.bool(),
  ExitCode: go.ptr(go.int()),
  ProcessConfig: go.ptr(
    go.struct("backend.ExecProcessConfig", {
      tty: go.bool(),
      entrypoint: go.string(),
      arguments: go.slice(go.string()),
      privileged: go.ptr(go.bool(), { omitempty: true }),
      user: go.string({ omitempty: true }),
    }),
  ),
  OpenStdin: go.bool(),
  OpenStderr: go.bool(),
  OpenStdout: go.bool(),
  CanRemove: go.bool(),
  ContainerID: go.string(),
  /** A []byte in Go: base64. */
  DetachKeys: go.string(),
  Pid: go.int(),
});
