/** The door of the registry client: names, platforms, manifests, and the registries behind them. */
export { type Credentials, credentialsOf, parseCredentials } from "./auth.ts";
export type { RegistryOptions } from "./config.ts";
export { RegistryError } from "./errors.ts";
export {
  fetchBlob,
  fetchManifest,
  hasManifest,
  listTags,
  type OpenBlob,
  openBlob,
  type Resolved,
  resolveTag,
  statBlob,
} from "./fetch.ts";
export {
  checkConfigType,
  checkLayerType,
  checkSupported,
  configSizeLimit,
  type Descriptor,
  detectMediaType,
  digestOf,
  type ImageIndex,
  type ImageManifest,
  type Manifest,
  manifestSizeLimit,
  mediaTypes,
  parseManifest,
  readPlatform,
  schema1Refusal,
  selectManifests,
} from "./manifest.ts";
export {
  bestHostPlatform,
  formatPlatform,
  hostArchitecture,
  hostPlatform,
  imageRunsOn,
  isSamePlatform,
  type Platform,
  parsePlatform,
  platformRank,
} from "./platform.ts";
export {
  cancelUpload,
  commitUpload,
  mountBlob,
  pushBlob,
  pushManifest,
  sendBlob,
  sendUpload,
  startUpload,
  type Upload,
} from "./push.ts";
export {
  checkDigest,
  type DigestedReference,
  familiarName,
  familiarReference,
  formatReference,
  isDigested,
  isNameOnly,
  isTagged,
  parseAnyReference,
  parseReference,
  parseRepoTag,
  type Reference,
  repositoryName,
  storedReference,
  type TaggedReference,
  trimReference,
  withDefaultTag,
  withDigest,
  withTag,
} from "./reference.ts";
export { type Access, type Login, Registry, type RegistryParts } from "./registry.ts";
export { openRemoteFile, type RemoteFile } from "./remote-file.ts";
export type { Repository } from "./repository.ts";
export type { SearchRequest, SearchResult } from "./search.ts";
