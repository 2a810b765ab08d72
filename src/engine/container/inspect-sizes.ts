import type { ContainerRecord, Storage } from "#storage";

/** Bytes that the container wrote (-1: they cannot be counted), and those together with its image's. */
export async function containerSizes(
  storage: Pick<Storage, "snapshots" | "records">,
  record: Pick<ContainerRecord, "id" | "imageId" | "state">,
): Promise<{ sizeRw: number; sizeRootFs: number }> {
  const sizeRw = await storage.snapshots.usage(record.id, { isStill: record.state.pid === 0 }).catch(() => -1);
  const image = record.imageId === null ? undefined : storage.records.images.find(record.imageId);
  return { sizeRw, sizeRootFs: Math.max(sizeRw, 0) + (image?.sizeBytes ?? storage.snapshots.bytesBelow(record.id)) };
}
