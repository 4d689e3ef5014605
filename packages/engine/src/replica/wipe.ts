/**
 * What logging out does to the files. One file decides, the marker, which takes its name whole or not at all. It holds what stays: the root
 * log without the certificates. So the only thing that needs room comes first, and the last step of the wipe gives the marker the root
 * log's name. Files are emptied before they are removed, because a removal whose sync failed may come back (Rebello et al., "Can
 * Applications Recover from fsync Failures?", 2020), and then brings an empty file.
 */
import { concatBytes } from '../bytes/bytes.ts'
import { isRefusal, StorageError } from '../bytes/refusal.ts'
import { type Hash, readCommit } from '../commit/commit.ts'
import { encodeFrame, type Frame, frameKinds, Scanner } from '../log/frame.ts'
import { PackedLogReader } from '../log/packedlog.ts'
import { readCertificate } from '../trust/certificate.ts'
import { readEntry } from '../trust/entry.ts'
import type { Storage } from './options.ts'
import type { File, Files, KeyStore } from './ports.ts'

const marker = 'logout'
/** Under this name until all of it is stored. */
const draft = 'logout.new'
const pieceBytes = 1_048_576

/** Where a person's things are. */
export interface Belongings {
  readonly files: Files
  readonly keys: KeyStore
  readonly keyName: string
  readonly rootName: string
}

/** Throws before the store is open. */
export const belongingsOf = (storage: Storage | undefined, keyName: string, rootName: string): Belongings => {
  if (storage === undefined) throw new Error('nobody logs out before the store is open')
  return { ...storage, keyName, rootName }
}

/** Those of the app's other stores that nobody has open, locked one at a time. */
export async function* otherBelongings(
  storage: Storage | undefined,
  { keyName, rootName }: Belongings,
): AsyncGenerator<Belongings & { release(): Promise<void> }, void, undefined> {
  for await (const other of storage?.others?.() ?? []) yield { ...other, keyName, rootName }
}

/** The root log without certificates. */
export const keptBytes = (header: Uint8Array, entries: readonly Uint8Array[]): Uint8Array =>
  concatBytes(encodeFrame(frameKinds.header, header), ...entries.map((bytes) => encodeFrame(frameKinds.entry, bytes)))

/** Stores the marker. When it rejects, nobody knows whether it will be there: it is to be withdrawn, or stored again. */
export const mark = async (files: Files, kept: Uint8Array): Promise<void> => {
  await files.remove(draft)
  await write(files, draft, kept)
  await files.rename(draft, marker)
  await files.syncNames()
}

export const withdraw = async (files: Files): Promise<void> => {
  await files.remove(draft)
  await files.remove(marker)
  await files.syncNames()
}

/** Ends a logout that a crash cut short. To be called before anything else is read. */
export const finishLogout = async (of: Belongings): Promise<void> => {
  const found = await of.files.open(marker, false)
  if (found === undefined) return
  await found.close()
  // The process may have died before its name lasted.
  await of.files.syncNames()
  await wipe(of)
}

/** Removes everything and puts the marker into the place of the root log. May be called again after it failed anywhere. */
export const wipe = async ({ files, keys, keyName, rootName }: Belongings): Promise<void> => {
  // A rename whose sync failed is not made good by another sync: it is made again.
  if (!(await files.list()).includes(marker)) await files.rename(rootName, marker)
  for (const name of await files.list()) if (name !== marker) await removeEmptied(files, name)
  await files.syncNames()
  await keys.remove(keyName)
  await files.rename(marker, rootName)
  await files.syncNames()
}

/** The same for a store that nobody has open. */
export const wipeClosed = async (of: Belongings): Promise<void> => {
  if ((await of.files.list()).length === 0) return of.keys.remove(of.keyName)
  const kept: Uint8Array[] = []
  await eachFrame(of.files, of.rootName, ({ kind, payload }) => {
    if (kind === frameKinds.header || kind === frameKinds.entry) kept.push(encodeFrame(kind, payload))
  })
  await mark(of.files, concatBytes(...kept))
  await wipe(of)
}

const removeEmptied = async (files: Files, name: string): Promise<void> => {
  const file = await files.open(name, false)
  if (file === undefined) return
  try {
    await file.truncate(0)
    await file.sync()
  } finally {
    await file.close()
  }
  await files.remove(name)
}

const write = async (files: Files, name: string, bytes: Uint8Array): Promise<void> => {
  const file = await files.open(name, true)
  if (file === undefined) throw new StorageError('DiskError', name)
  try {
    for (let written = 0; written < bytes.length; ) {
      const count = await file.write(written, bytes.subarray(written))
      if (count <= 0) throw new StorageError('DiskError', name)
      written += count
    }
    await file.sync()
  } finally {
    await file.close()
  }
}

/** The path of a stored repository with commits of the store's own sessions that no checkpoint of the authority covers. */
export const unsentIn = async (
  { files, rootName }: Belongings,
  hash: Hash,
  isOpen: (name: string) => boolean = () => false,
): Promise<string | undefined> => {
  const own = new Set<string>()
  await eachFrame(files, rootName, ({ kind, payload }) => {
    const certificate = kind === frameKinds.certificate ? readCertificate(payload, hash) : undefined
    if (certificate !== undefined && !isRefusal(certificate)) own.add(certificate.session)
  })
  for (const name of own.size === 0 ? [] : await files.list()) {
    if (!name.endsWith('.log') || name === rootName || isOpen(name)) continue
    const path = await unsentInFile(files, name, own, hash)
    if (path !== undefined) return path
  }
  return undefined
}

const unsentInFile = async (
  files: Files,
  name: string,
  own: ReadonlySet<string>,
  hash: Hash,
): Promise<string | undefined> => {
  const last = new Map<string, number>()
  const covered = new Map<string, number>()
  let path: string | undefined
  const reader = new PackedLogReader(hash)
  await eachFrame(files, name, (frame) => {
    const { kind, payload } = frame
    const records = reader.records(frame)
    for (const bytes of isRefusal(records) ? [] : records) {
      const commit = readCommit(bytes, hash)
      if (isRefusal(commit) || !own.has(commit.session)) continue
      path = commit.repository
      last.set(commit.chain, Math.max(commit.seq, last.get(commit.chain) ?? -1))
    }
    if (kind === frameKinds.entry) {
      const entry = readEntry(payload, hash)
      if (isRefusal(entry) || entry.statement.kind !== 'checkpoint') return
      for (const { chain, seq } of entry.statement.moved) covered.set(chain, seq)
    }
  })
  return [...last].some(([chain, seq]) => seq > (covered.get(chain) ?? -1)) ? path : undefined
}

const eachFrame = async (files: Files, name: string, look: (frame: Frame) => void): Promise<void> => {
  const file = await files.open(name, false)
  try {
    if (file !== undefined) for await (const frame of framesOf(file)) look(frame)
  } finally {
    await file?.close()
  }
}

async function* framesOf(file: File): AsyncGenerator<Frame, void, undefined> {
  const scanner = new Scanner()
  for (let offset = 0; ; ) {
    const piece = await file.read(offset, pieceBytes)
    if (piece.length === 0) break
    offset += piece.length
    yield* scanner.push(piece)
  }
  yield* scanner.end()
}
