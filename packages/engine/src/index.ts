export { type Code, catalogue, type Refusal, StorageError, WeftError } from './bytes/refusal.ts'
export { limits } from './bytes/limits.ts'
export type { Channel, ChannelListener, File, Files, KeyStore, Runtime, SigningKey, Transport } from './replica/ports.ts'
