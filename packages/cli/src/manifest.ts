/**
 * What a backup holds, in its file `backup.json`: which logs, in which of its files, how long and with which hash. It is the last thing that
 * a backup writes and takes its name in one step, so that there is always a whole backup, the last one or this one. Bytes behind the length
 * that it names belong to a backup that was not finished.
 *
 *     one line of JSON, a line feed, SHA-256 of the line in hex, a line feed
 */
import { hash } from 'node:crypto'
import { WeftError } from '@weft-db/engine'

export const manifestName = 'backup.json'

/** What of a store is worth keeping: its logs and its evidence. */
export const isKept = (name: string): boolean => /^(?:[0-9a-f]{64}\.log|evidence-[0-9a-f]{64}\.cbor)$/.test(name)

/** One file of the store, as the backup has it. */
export interface KeptFile {
  /** In the store. */
  readonly name: string
  /** In the backup. */
  readonly stored: string
  /** Bytes that count; behind a log's come those of an unfinished backup, or none. */
  readonly size: number
  /** SHA-256 of those bytes, hex. */
  readonly hash: string
}

export interface Manifest {
  readonly format: 1
  readonly network: string
  /** When the backup was finished, ms since 1970. */
  readonly time: number
  readonly files: readonly KeptFile[]
}

export const encodeManifest = (manifest: Manifest): Uint8Array => {
  const line = JSON.stringify(manifest)
  return Buffer.from(`${line}\n${hash('sha256', line)}\n`)
}

/** Throws a `WeftError`, `BackupCorrupt`, for anything but the bytes that `encodeManifest` made. */
export const decodeManifest = (bytes: Uint8Array): Manifest => {
  const text = Buffer.from(bytes).toString()
  const line = text.slice(0, text.indexOf('\n'))
  const isWhole = Buffer.from(`${line}\n${hash('sha256', line)}\n`).equals(bytes)
  const value: unknown = isWhole ? JSON.parse(line) : undefined
  if (!isManifest(value)) throw new WeftError('BackupCorrupt', manifestName)
  return value
}

const isManifest = (value: unknown): value is Manifest =>
  typeof value === 'object' &&
  value !== null &&
  'format' in value &&
  value.format === 1 &&
  'network' in value &&
  typeof value.network === 'string' &&
  'time' in value &&
  typeof value.time === 'number' &&
  'files' in value &&
  Array.isArray(value.files) &&
  value.files.every(isKeptFile)

/** Names lead nowhere but into the folder, whoever wrote them. */
const isKeptFile = (value: unknown): value is KeptFile =>
  typeof value === 'object' &&
  value !== null &&
  'name' in value &&
  typeof value.name === 'string' &&
  isKept(value.name) &&
  'stored' in value &&
  (value.stored === value.name || value.stored === otherName(value.name)) &&
  'size' in value &&
  Number.isSafeInteger(value.size) &&
  'hash' in value &&
  typeof value.hash === 'string'

/** Where a file is stored while the last backup needs what has its name. */
export const otherName = (name: string): string => `${name}.2`
