/** The door of `storage/`. */
export { applyXattr, isAllowedXattr } from "./archive/attributes.ts";
export { type Compression, decompress, detectCompression } from "./archive/compression.ts";
export type { MountTree } from "./foreign/assemble.ts";
export type { ForeignFiles, ForeignRoot } from "./foreign/files.ts";
export { type ChainId, chainIdOf, chainIdsOf, parseChainId } from "./layers/chain.ts";
export type {
  ContainerRecord,
  ContainerState,
  ContainerStatus,
  HealthState,
  MountRecord,
} from "./records/container-record.ts";
export type { ContainerTable } from "./records/containers.ts";
export type { DistributionTable, KnownBlob } from "./records/distribution.ts";
export { DocumentTable } from "./records/documents.ts";
export type { ImageRecord } from "./records/image-record.ts";
export type { ImageTable } from "./records/images.ts";
export type { ImageOrigin, OriginTable } from "./records/origins.ts";
export type { ImageReference, ReferenceTable } from "./records/references.ts";
export type { VolumeRecord } from "./records/volume-record.ts";
export { openStorage, type Records, type Storage, type StorageOptions } from "./storage.ts";
export * from "./types.ts";
export { type Fault, subjectOf } from "./verify/fault.ts";
export { type BlobSource, type Repaired, repairStore } from "./verify/repair.ts";
export { verifyStore } from "./verify/verify.ts";
