/** moby api/types/checkpoint (28.5, API 1.51), in Go's field order. */
import * as go from "#api-schema/go";

/** The body of POST /containers/{id}/checkpoints. */
export type CheckpointCreateRequest = go.Static<typeof CheckpointCreateRequest>;
export const CheckpointCreateRequest = go.struct("checkpoint.CreateOptions", {
  CheckpointID: go.string(),
  CheckpointDir: go.string(),
  Exit: go.bool(),
});

export type CheckpointSummary = go.Static<typeof CheckpointSummary>;
export const CheckpointSummary = go.struct("checkpoint.Summary", { Name: go.string() });
export const CheckpointSummaries = go.slice(CheckpointSummary);
