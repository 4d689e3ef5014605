export { limits } from './bytes/limits.ts'
export type { Plain } from './bytes/plain.ts'
export { type Code, catalogue, isRefusal, type Refusal, refusal, StorageError, WeftError } from './bytes/refusal.ts'
export { type Commit, readCommit } from './commit/commit.ts'
export { placeBetween } from './edit/place.ts'
export { Database, type DatabaseOptions, logName, type Storage } from './replica/database.ts'
export { keyOf, liveOf } from './replica/item.ts'
export type { LastChange, LiveItem, SavedState } from './replica/live.ts'
export { anonymous, type Login, type Person } from './replica/login.ts'
export type {
  Channel,
  ChannelListener,
  File,
  Files,
  KeyStore,
  Runtime,
  SigningKey,
  Transport,
} from './replica/ports.ts'
export { Query } from './replica/query.ts'
export { onRead, type Readable } from './replica/reads.ts'
export type { Repository } from './replica/repository.ts'
export { lastChange, problemsOf, saved, savedState, subscribe } from './replica/saved.ts'
export type { Incident, Status } from './replica/status.ts'
export { boolean, date, type Field, map, number, order, type ScalarValue, set, string, text } from './schema/field.ts'
export type { MapHandle, SetHandle, TextChange, TextHandle, TextSplice } from './schema/handle.ts'
export { type Fields, type Initial, type Item, type Schema, schema } from './schema/schema.ts'
export { certifiedOnly, type Rule, read, type Who, write } from './trust/rules.ts'
