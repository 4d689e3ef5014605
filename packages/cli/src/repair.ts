/**
 * `weft verify --repair`: writes the damaged logs of a store whole, with what a backup, another store of the network or a running server holds
 * of them. What
 * comes of it is verified before it takes anything's place, and the logs as they were are kept beside the folder. A snapshot that does not say
 * what its log says is removed: it holds nothing that the log does not hold.
 */
import { randomBytes } from 'node:crypto'
import { copyFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import {
  type AuditReport,
  type AuditSource,
  isSameStore,
  lostSince,
  mendLog,
  type Problem,
  WeftError,
} from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { nodeFiles } from '@weft-db/storage/node'
import { auditSource } from './audit.ts'
import { manifestIn, namesIn, openFolder, rootName } from './directory.ts'
import { fetchLogs, isAddress } from './fetch.ts'
import { Usage } from './output.ts'
import { writeWhole } from './writing.ts'

export interface Repair {
  /** What was wrong. */
  readonly before: readonly Problem[]
  /** The logs that were written whole; none when that would not have helped. */
  readonly repaired: readonly string[]
  /** Snapshots that said something else than their logs. */
  readonly removed: readonly string[]
  /** The folder with these logs as they were. */
  readonly aside: string | undefined
  /** How it is now. */
  readonly report: AuditReport
}

type Trust = { readonly network?: string; readonly key?: string }

/**
 * Repairs the folder of a store that nobody has open. `from`: folders of other stores of the network, backups, or addresses of servers. Rejects
 * with a `WeftError`: `AlreadyOpen`, `WrongNetwork`, why a server gives nothing, or what a disk said.
 */
export const repairFolder = async (path: string, from: readonly string[], trust: Trust = {}): Promise<Repair> => {
  if ((await manifestIn(path)) !== undefined)
    throw new Usage(`${path} is a backup: restore it, and repair what comes of it`)
  const files = nodeFiles(path)
  const release = await files.lock()
  try {
    const own = await logsOf(path)
    const before = await auditSource(sourceOf(path, own), path, trust)
    const network = trust.network ?? before.network ?? undefined
    const others: Logs[] = []
    const isWhole = before.problems.length === 0
    for (const other of from)
      if (!isAddress(other)) others.push(await logsOf(other))
      else if (!isWhole)
        others.push(await fetchLogs(other, path, own.get(rootName) ?? new Uint8Array(0), before, network))
    const folders = from.filter((place) => !isAddress(place))
    const all = mendAll(own, others, network ?? (await networkOf(folders, trust)))
    const tried = await auditSource(sourceOf(path, all), path, trust)
    // Whole now, or richer: to leave out what is damaged is no repair.
    const helps = (name: string, log: Uint8Array): boolean => {
      const before = own.get(name)
      if (before === undefined || before === log || tried.problems.every(({ file }) => file !== name)) return true
      return lostSince(log, before, hashOf).length > 0
    }
    const mended = new Map([...all].map(([name, log]) => [name, helps(name, log) ? log : (own.get(name) ?? log)]))
    const repaired = [...mended].filter(([name, log]) => own.get(name) !== log).map(([name]) => name)
    const report = await auditSource(sourceOf(path, mended), path, trust)
    const known = new Set(before.problems.map(named))
    // Whatever is made of it, nothing may be wrong with it that was not wrong before. A snapshot is compared once its log is whole.
    const isBetter = report.problems.every((one) => known.has(named(one)) || one.file === null || isOfSnapshot(one))
    const isRepaired = repaired.length > 0 && isBetter
    const told = isRepaired ? report : before
    const removed = told.problems.filter(isOfSnapshot).flatMap(({ file }) => file ?? [])
    const problems = told.problems.filter((one) => !isOfSnapshot(one))
    const left = { ...told, ok: problems.length === 0, problems }
    // Before a log takes its place: nobody may open it from such a one.
    for (const name of removed) await files.remove(name)
    if (removed.length > 0) await files.syncNames()
    if (!isRepaired) return { before: before.problems, repaired: [], removed, aside: undefined, report: left }
    const aside = await keepAside(
      path,
      repaired.filter((name) => own.has(name)),
    )
    // What a seal says is so of the file that stood there.
    for (const { name, kind } of before.files) if (kind === 'seal') await files.remove(name)
    for (const name of repaired) {
      await writeWhole(files, `${name}.new`, mended.get(name) ?? new Uint8Array(0))
      await files.rename(`${name}.new`, name)
      await files.syncNames()
    }
    return { before: before.problems, repaired, removed, aside, report: left }
  } finally {
    await release()
  }
}

const hashOf = (bytes: Uint8Array): Uint8Array => nodeRuntime().hash(bytes)

type Logs = ReadonlyMap<string, Uint8Array>

const isOfSnapshot = ({ code }: Problem): boolean => code === 'SnapshotWrong'

const named = ({ code, file, about }: Problem): string => `${code} ${file} ${about}`

/** All logs of a folder or backup, in memory. */
const logsOf = async (path: string): Promise<Logs> => {
  const folder = await openFolder(path)
  const logs = new Map<string, Uint8Array>()
  for (const { name, size } of await folder.list())
    if (/^[0-9a-f]{64}\.log$/.test(name)) logs.set(name, await folder.read(name, size))
  return logs
}

const networkOf = async ([first]: readonly string[], trust: Trust): Promise<string> => {
  const network = first && (await auditSource(await openFolder(first), first, trust)).network
  if (network === undefined || network === '' || network === null) throw new WeftError('LogMissing')
  return network
}

const mendAll = (own: Logs, others: readonly Logs[], network: string): Logs => {
  const context = { runtime: nodeRuntime(), network }
  const mended = new Map(own)
  // A backup of this very store has all logs that it had; another store may have others.
  const root = own.get(rootName)
  const same = others.filter((logs) => root === undefined || isSameStore(root, logs.get(rootName) ?? new Uint8Array(0)))
  for (const name of new Set([...own.keys(), ...same.flatMap((logs) => [...logs.keys()])])) {
    const bytes = own.get(name) ?? same.map((logs) => logs.get(name)).find((one) => one !== undefined)
    const theirs = others.flatMap((logs) => logs.get(name) ?? [])
    const log = bytes && mendLog(name, bytes, theirs, context)
    if (log !== undefined) mended.set(name, log)
  }
  return mended
}

/** The folder as it would be with these logs. */
const sourceOf = (path: string, logs: Logs): AuditSource => ({
  list: async () => {
    const others = (await namesIn(path)).filter((name) => !logs.has(name))
    const folder = await openFolder(path)
    const sizes = (await folder.list()).filter(({ name }) => others.includes(name))
    return [...sizes, ...[...logs].map(([name, { length: size }]) => ({ name, size }))]
  },
  read: async (name, size) => logs.get(name)?.subarray(0, size) ?? (await openFolder(path)).read(name, size),
})

/** Copies the logs beside the folder: what is damaged in them may be of use to somebody yet. */
const keepAside = async (path: string, names: readonly string[]): Promise<string> => {
  const aside = `${resolve(path)}.damaged-${randomBytes(4).toString('hex')}`
  const files = nodeFiles(aside)
  for (const name of names) {
    const file = await files.open(name, true)
    await file?.close()
    await copyFile(join(path, name), join(aside, basename(name)))
    const copied = await files.open(name, false)
    await copied?.sync()
    await copied?.close()
  }
  await files.syncNames()
  return aside
}
