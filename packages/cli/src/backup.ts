/**
 * `weft backup`: copies a store, beside whatever program has it open, to a folder that has a whole backup at any moment.
 *
 * What is copied is a state the store was in, or that a crash might have left. Repositories do not depend on each other, and within one log
 * a prefix of whole frames is an earlier state. What a log names of another one stands in the root log, which has it first: so that one
 * is copied last. A log that an erasure writes anew meanwhile is read to its end as it was.
 *
 * A log of which the last backup holds the beginning is continued behind it. Otherwise it is stored beside, and takes the place of the old
 * one with the manifest, if it lacks nothing of it: a backup never gives up what it holds for what is damaged or older.
 */
import { createHash, type Hash } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { type File, type Files, lostSince, networkIn, Scanner, WeftError } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { nodeFiles } from '@weft-db/storage/node'
import { aMoment, mustBeFolder, namesIn, type OpenFile, openToRead, rootName } from './directory.ts'
import {
  decodeManifest,
  encodeManifest,
  isKept,
  type KeptFile,
  type Manifest,
  manifestName,
  otherName,
} from './manifest.ts'
import { type Output, parseFlags, problemOf, Usage } from './output.ts'
import { inJson, inLines, problemsInWords } from './words.ts'
import { mustOpen, writeAll, writeWhole } from './writing.ts'

/** A store to be copied. */
export interface Source {
  list(): Promise<readonly string[]>
  open(name: string): Promise<OpenFile | undefined>
  /** Resolves a moment later, when it may be worth another look. */
  later(): Promise<void>
}

export interface BackedUp {
  readonly name: string
  readonly size: number
  /** Bytes that were copied now. */
  readonly written: number
}

export interface Backup {
  readonly network: string
  /** ms since 1970. */
  readonly time: number
  readonly files: readonly BackedUp[]
  /** Where a log is damaged in the middle. It was copied as it is. */
  readonly damage: readonly { readonly name: string; readonly from: number; readonly to: number }[]
}

const pieceBytes = 1_048_576
/** How often a log is read again in which something looks damaged, or a store from which a log went meanwhile. */
const patience = 3
/** The manifest, until all of it is stored. */
const draftName = `${manifestName}.new`
/** The mark of a logout that is under way. */
const logoutName = 'logout'

const hashOf = (bytes: Uint8Array): Uint8Array => nodeRuntime().hash(bytes)

export const backupHelp = `weft backup DIR TARGET [--json]

Copies what a server, or an app on Node, has stored in DIR to the folder TARGET, while it runs. TARGET has a whole backup at any
moment; a second one copies only what is new. The private key (DIR.key) is not in it: keep that elsewhere.

Exit code: 0 done, 1 done with a damaged log, or refused and the last backup is as it was, 2 the command could not be carried
out as it was written.
`

export const backupCommand = async (args: readonly string[], output: Output): Promise<number> => {
  const { values, positionals } = parseFlags(args, {})
  if (values.help === true) {
    output.out(backupHelp)
    return 0
  }
  const [directory, target, ...rest] = positionals
  if (directory === undefined || target === undefined || rest.length > 0)
    throw new Usage('name the store and where to copy it: weft backup DIR TARGET')
  const { network, time, files, damage } = await backupFolder(directory, target)
  const problems = damage.map(({ name, from, to }) => problemOf('LogCorrupt', name, from, `bytes ${from} to ${to}`))
  const ok = problems.length === 0
  if (values.json === true) output.out(inJson({ ok, network, time, files, problems }))
  else {
    const [size, written] = [
      files.reduce((sum, one) => sum + one.size, 0),
      files.reduce((sum, one) => sum + one.written, 0),
    ]
    output.out(
      inLines([
        `Backed up ${directory} to ${target}`,
        `Network ${network}`,
        `${files.length} files, ${size} bytes, of which ${written} were copied now. The key is not among them.`,
        ...problemsInWords(problems),
      ]),
    )
  }
  return ok ? 0 : 1
}

/**
 * Backs up a folder. Rejects with a `WeftError`: `BackupAhead`, `BackupCorrupt`, `WrongNetwork`, `LogMissing`, `LoggingOut`, `NotEmpty`,
 * `AlreadyOpen`, or what a disk said.
 */
export const backupFolder = async (directory: string, target: string): Promise<Backup> => {
  await mustBeFolder(directory)
  const [from, to] = [await realpath(directory), await whereItWillBe(target)]
  if (isWithin(from, to) || isWithin(to, from)) throw new Usage(`${target} and ${directory} are one place`)
  const source: Source = {
    list: () => namesIn(from),
    open: (name) => openToRead(join(from, name)),
    later: aMoment,
  }
  const files = nodeFiles(to)
  const names = await files.list()
  const isBackup = names.includes(manifestName) || names.includes(draftName)
  // A store has logs of the same names.
  if (!isBackup && names.some((name) => !name.startsWith('='))) throw new WeftError('NotEmpty', target)
  const release = await files.lock()
  try {
    return await backup(source, files, Date.now)
  } finally {
    await release()
  }
}

const whereItWillBe = async (path: string): Promise<string> => {
  const full = resolve(path)
  const parent = dirname(full)
  return realpath(full).catch(async () =>
    parent === full ? full : join(await whereItWillBe(parent), relative(parent, full)),
  )
}

const isWithin = (outer: string, inner: string): boolean => {
  const way = relative(outer, inner)
  return way !== '..' && !way.startsWith(`..${sep}`)
}

/** What a backup consists of, beside its manifest. */
const isCopy = (name: string): boolean => isKept(name.replace(/\.2$/, ''))

/** The same on ports; the target is this one's alone. */
export const backup = async (source: Source, target: Files, now: () => number): Promise<Backup> => {
  const last = await lastManifest(target)
  // Says whose folder this is from the first moment.
  if (last === undefined) {
    await writeWhole(target, draftName, new Uint8Array(0))
    await target.syncNames()
  }
  const copied = await copyAll(source, target, last)
  await target.syncNames()
  const files = copied.map(({ kept }) => kept)
  const rootFile = files.find(({ name }) => name === rootName)
  const network = rootFile && networkIn(await bytesOf(target, rootFile), hashOf)
  if (network === undefined) throw new WeftError('LogMissing')
  const manifest: Manifest = { format: 1, network, time: now(), files }
  await writeManifest(target, manifest)
  const needed = new Set(files.map(({ stored }) => stored))
  for (const name of await target.list()) if (isCopy(name) && !needed.has(name)) await target.remove(name)
  await target.syncNames()
  return {
    network,
    time: manifest.time,
    files: copied.map(({ kept: { name, size }, written }) => ({ name, size, written })),
    damage: copied.flatMap(({ kept: { name }, damage }) => damage.map(({ from, to }) => ({ name, from, to }))),
  }
}

const lastManifest = async (target: Files): Promise<Manifest | undefined> => {
  const file = await target.open(manifestName, false)
  try {
    return file && decodeManifest(await file.read(0, await file.size()))
  } finally {
    await file?.close()
  }
}

const writeManifest = async (target: Files, manifest: Manifest): Promise<void> => {
  await writeWhole(target, draftName, encodeManifest(manifest))
  await target.rename(draftName, manifestName)
  await target.syncNames()
}

interface Copied {
  readonly kept: KeptFile
  readonly written: number
  readonly damage: readonly { readonly from: number; readonly to: number }[]
}

const copyAll = async (source: Source, target: Files, last: Manifest | undefined): Promise<Copied[]> => {
  for (let tries = 1; ; tries++) {
    const copied: Copied[] = []
    const names = await present(source)
    for (const name of names) {
      const one = await copyOne(source, target, name, last)
      if (one !== undefined) copied.push(one)
    }
    // A log goes only where somebody logs out, and the root log that was copied behind the others may be the next person's already.
    const left = new Set(await present(source))
    if (!copied.every(({ kept }) => left.has(kept.name)) && tries < patience) continue
    if (!copied.some(({ kept }) => kept.name === rootName)) throw new WeftError('LogMissing')
    const held = new Set(copied.map(({ kept }) => kept.name))
    const gone = last?.files.find(({ name }) => name.endsWith('.log') && !held.has(name))
    if (gone !== undefined) throw new WeftError('BackupAhead', gone.name)
    return copied
  }
}

/** What is to be copied, in order. */
const present = async (source: Source): Promise<readonly string[]> => {
  const names = await source.list()
  if (names.includes(logoutName)) throw new WeftError('LoggingOut')
  const kept = names.filter((name) => isKept(name) && name !== rootName).sort()
  return names.includes(rootName) ? [...kept, rootName] : kept
}

/** Undefined where there is nothing yet, or nothing any more. */
const copyOne = async (
  source: Source,
  target: Files,
  name: string,
  last: Manifest | undefined,
): Promise<Copied | undefined> => {
  const before = last?.files.find((file) => file.name === name)
  for (let tries = 1; ; tries++) {
    if (tries > 1) await source.later()
    const from = await source.open(name)
    if (from === undefined) return undefined
    try {
      const size = await from.size()
      // Bytes that a power cut may still take from the store, and that it then writes otherwise, are not what it was.
      await from.settle()
      const copied = await copyOpen(from, size, target, name, before)
      // Whoever cuts back what he failed to write changes bytes that are being read.
      if (copied.damage.length > 0 && tries < patience) continue
      if (before !== undefined && copied.kept.stored !== before.stored) await mustHoldAll(target, before, copied.kept)
      return copied.kept.size === 0 ? undefined : copied
    } finally {
      await from.close()
    }
  }
}

const copyOpen = async (
  from: OpenFile,
  size: number,
  target: Files,
  name: string,
  before: KeptFile | undefined,
): Promise<Copied> => {
  const begun = before === undefined ? undefined : await hashOfFirst(from, before.size)
  const isContinued = before !== undefined && begun !== undefined && hex(begun) === before.hash
  if (isContinued && (await isAsWritten(target, before))) {
    const to = await mustOpen(target, before.stored)
    return copyTail(from, size, to, before, begun)
  }
  const stored = before?.stored === name ? otherName(name) : name
  await target.remove(stored)
  const empty = { name, stored, size: 0, hash: '' }
  return copyTail(from, size, await mustOpen(target, stored), empty, createHash('sha256'))
}

/** What is there behind the first bytes, which are in the backup, in whole frames. Closes the file. */
const copyTail = async (from: OpenFile, size: number, to: File, begun: KeptFile, hash: Hash): Promise<Copied> => {
  const isLog = begun.name.endsWith('.log')
  const scanner = new Scanner(begun.size)
  let [at, written] = [begun.size, begun.size]
  /** Read, and not known yet to belong to whole frames. */
  let behind: Uint8Array = new Uint8Array(0)
  const store = async (good: number): Promise<void> => {
    const whole = behind.subarray(0, good - written)
    if (whole.length === 0) return
    await writeAll(to, written, whole)
    hash.update(whole)
    written = good
    behind = behind.subarray(whole.length)
  }
  try {
    if ((await to.size()) > written) await to.truncate(written)
    while (at < size) {
      const piece = await from.read(at, Math.min(pieceBytes, size - at))
      if (piece.length === 0) break
      at += piece.length
      behind = behind.length === 0 ? piece : Buffer.concat([behind, piece])
      if (isLog) scanner.push(piece)
      await store(isLog ? scanner.good : at)
    }
    if (isLog) {
      scanner.end()
      await store(scanner.good)
    }
    await to.sync()
  } finally {
    await to.close()
  }
  const kept = { ...begun, size: written, hash: hex(hash) }
  return { kept, written: written - begun.size, damage: scanner.damage }
}

/** The hash under way over the first bytes; undefined when there are fewer. */
const hashOfFirst = async (from: Pick<File, 'read'>, size: number): Promise<Hash | undefined> => {
  const hash = createHash('sha256')
  for (let at = 0; at < size; ) {
    const piece = await from.read(at, Math.min(pieceBytes, size - at))
    if (piece.length === 0) return undefined
    hash.update(piece)
    at += piece.length
  }
  return hash
}

const hex = (hash: Hash): string => hash.copy().digest('hex')

/** Whether the backup's file holds what the manifest says. */
const isAsWritten = async (target: Files, { stored, size, hash: expected }: KeptFile): Promise<boolean> => {
  const file = await target.open(stored, false)
  try {
    const hash = file && (await hashOfFirst(file, size))
    return hash !== undefined && hex(hash) === expected
  } finally {
    await file?.close()
  }
}

/** What is damaged in the backup itself may be replaced by anything. */
const mustHoldAll = async (target: Files, before: KeptFile, now: KeptFile): Promise<void> => {
  if (!before.name.endsWith('.log') || !(await isAsWritten(target, before))) return
  const [older, newer] = [await bytesOf(target, before), await bytesOf(target, now)]
  const networks = before.name === rootName ? [older, newer].map((bytes) => networkIn(bytes, hashOf)) : []
  if (networks[0] !== networks[1]) throw new WeftError('WrongNetwork', networks[1] ?? '')
  const lost = lostSince(older, newer, hashOf)
  if (lost.length > 0) throw new WeftError('BackupAhead', `${before.name}: ${lost.length}, the first is ${lost[0]}`)
}

const bytesOf = async (target: Files, { stored, size }: KeptFile): Promise<Uint8Array> => {
  const file = await mustOpen(target, stored)
  try {
    return await file.read(0, size)
  } finally {
    await file.close()
  }
}
