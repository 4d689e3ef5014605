export { limits } from './bytes/limits.ts'
export type { Plain } from './bytes/plain.ts'
export {
  type Code,
  catalogue,
  describeRefusal,
  isRefusal,
  type Refusal,
  refusal,
  StorageError,
  WeftError,
} from './bytes/refusal.ts'
export { type Commit, readCommit } from './commit/commit.ts'
export { placeBetween } from './edit/place.ts'
export { Scanner } from './log/frame.ts'
export { type Activity, type ActivityChange, type ActivityOptions, activity } from './replica/activity.ts'
export type { LoginOutcome } from './replica/asking.ts'
export { type AuditOptions, audit } from './replica/audit/audit.ts'
export { isSameStore, lostSince, networkIn } from './replica/audit/kept.ts'
export type {
  AuditedFile,
  AuditedPerson,
  AuditedRepository,
  AuditReport,
  AuditSource,
  DeadCommit,
  Problem,
} from './replica/audit/report.ts'
export { Database, type DatabaseOptions, type Storage } from './replica/database.ts'
export { type Diagnosis, diagnose, type Trouble } from './replica/diagnose.ts'
export { proveFork } from './replica/evidence.ts'
export type { AuthStale } from './replica/freshness.ts'
export { keyOf, liveOf } from './replica/item.ts'
export type { LastChange, LiveItem, SavedState } from './replica/live.ts'
export {
  anonymous,
  type Credentials,
  composeMailCode,
  jwt,
  type Login,
  mailAddressOf,
  mailCode,
  mailLink,
  type Person,
} from './replica/login.ts'
export { logName } from './replica/logname.ts'
export type { MeshView } from './replica/meeting.ts'
export type { Member } from './replica/members.ts'
export { mendLog } from './replica/mend.ts'
export type { MeshOptions, Path } from './replica/mesh.ts'
export type {
  Attempt,
  AttemptListener,
  AttemptOptions,
  Channel,
  ChannelListener,
  File,
  Files,
  IceServer,
  KeyStore,
  PathFailure,
  PeerTransport,
  Runtime,
  SigningKey,
  Transport,
} from './replica/ports.ts'
export type { Presence, PresenceFields, PresenceValues, Present } from './replica/presence.ts'
export { Query } from './replica/query.ts'
export { defaultRates, type Rate, type Rates } from './replica/rates.ts'
export { onRead, type Readable } from './replica/reads.ts'
export type { Recovering } from './replica/recovery.ts'
export type { Rejection } from './replica/rejections.ts'
export type { Repository } from './replica/repository.ts'
export type { Request } from './replica/requests.ts'
export { lastChange, problemsOf, saved, savedState, subscribe } from './replica/saved.ts'
export type { AccountSession } from './replica/sessions.ts'
export type { Incident, Status } from './replica/status.ts'
export type { Unmerged } from './replica/unmerged.ts'
export { boolean, date, type Field, map, number, order, type ScalarValue, set, string, text } from './schema/field.ts'
export type { MapHandle, SetHandle, TextChange, TextHandle, TextSplice } from './schema/handle.ts'
export { type Fields, type Initial, type Item, type Schema, schema } from './schema/schema.ts'
export type { Invitation } from './trust/authoritylog.ts'
export type { NamedChange } from './trust/entry.ts'
export type { Evidence, Fork } from './trust/evidence.ts'
export {
  certifiedOnly,
  create,
  erase,
  type Granting,
  grant,
  type Rule,
  type Rules,
  read,
  type Who,
  type Writing,
  write,
} from './trust/rules.ts'
