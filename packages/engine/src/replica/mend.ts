/**
 * Writes a damaged log whole: what can be read of it, and what others hold of the same log, in an order that can be read from the start. It
 * gives up nothing that could be read. It looks at places and hashes and at no signature: what it made is to be audited before it is used.
 */
import { concatBytes, encodeUtf8, equalBytes, fromHex, toHex } from '../bytes/bytes.ts'
import { encode } from '../bytes/cbor.ts'
import { isRefusal } from '../bytes/refusal.ts'
import { type Commit, format, readCommit } from '../commit/commit.ts'
import { gatherRuns, type Run } from '../commit/run.ts'
import { stripCommit } from '../commit/strip.ts'
import { Commits } from '../graph/commits.ts'
import type { LoggedCommits } from '../graph/logged.ts'
import { encodeFrame, type Frame, type Framed, frameKinds, scan } from '../log/frame.ts'
import { PackedLogReader, PackedLogWriter } from '../log/packedlog.ts'
import { AuthorityLog } from '../trust/authoritylog.ts'
import { readCertificate } from '../trust/certificate.ts'
import { type Entry, readEntry, rootPath } from '../trust/entry.ts'
import { readLog } from './audit/file.ts'
import { pathIn } from './audit/repository.ts'
import { droppedCommits, readFloor } from './floor.ts'
import type { Runtime } from './ports.ts'

export interface Mending {
  readonly runtime: Runtime
  /** Whose log it is; what is of another network is left out. */
  readonly network: string
}

/** What can be read of a log. */
interface Contents {
  readonly header: Uint8Array | undefined
  /** Nothing in it is damaged or cut short. */
  readonly isWhole: boolean
  readonly entries: readonly Entry[]
  readonly certificates: readonly Uint8Array[]
  readonly met: readonly Uint8Array[]
  /** What stands in the place of dropped commits, with the items of which it holds nothing any more, and what stayed of those commits. */
  readonly floor: readonly Frame[]
  readonly dropped: LoggedCommits | undefined
  readonly kept: readonly Commit[]
  readonly runs: readonly Run[]
}

/** The log with what is missing from `others`: the same bytes when nothing is to be done. Undefined when nobody can tell whose it is. */
export const mendLog = (
  name: string,
  own: Uint8Array,
  others: readonly Uint8Array[],
  { runtime, network }: Mending,
): Uint8Array | undefined => {
  const path = [own, ...others].map((log) => pathOf(name, log, runtime)).find((one) => one !== undefined)
  if (path === undefined) return undefined
  const isRoot = path === rootPath
  const mine = contentsOf(own, network, path, runtime)
  const theirs = others.map((log) => contentsOf(log, network, path, runtime))
  const log = new AuthorityLog(path)
  const unplaced = placeEntries(log, mine, theirs, runtime)
  const { placed, left } = isRoot ? nothing : placeRuns(log, mine, theirs, runtime)
  // Whose session a store is stands in its root log, so another store's is of no use.
  const same = isRoot ? theirs.filter(({ header }) => header !== undefined && isSame(header, mine.header)) : theirs
  const certificates = distinct(
    [mine, ...same].flatMap((one) => one.certificates),
    runtime,
  )
  const met = distinct(
    [mine, ...same].flatMap((one) => one.met),
    runtime,
  )
  const mineIsAll =
    log.entries.length + unplaced.length === mine.entries.length &&
    placed.length + left.length === mine.runs.flat().length &&
    certificates.length === mine.certificates.length &&
    met.length === mine.met.length
  if (mine.isWhole && mineIsAll) return own
  const header = mine.header ?? encode([format, isRoot ? null : fromHex(network), path, runtime.random(16)])
  const entries = [...log.entries, ...unplaced].map(({ bytes }) => bytes)
  const writer = new PackedLogWriter({ network, repository: path })
  const kept = writer.write(mine.kept)
  writer.reset()
  const commits = writer.write([...placed, ...left])
  const framed: Framed[] = [{ kind: frameKinds.header, payload: header }, ...mine.floor, ...kept]
  const add = (kind: number, payloads: readonly Uint8Array[]): void => {
    for (const payload of payloads) framed.push({ kind, payload })
  }
  if (isRoot) add(frameKinds.entry, entries)
  add(frameKinds.certificate, certificates)
  add(frameKinds.met, met)
  if (!isRoot) add(frameKinds.entry, entries)
  framed.push(...commits)
  return concatBytes(...framed.map(({ kind, payload }) => encodeFrame(kind, payload)))
}

const floorKinds: ReadonlySet<number> = new Set([frameKinds.floor, frameKinds.recalled])

const nothing = { placed: [], left: [] }

const pathOf = (name: string, log: Uint8Array, runtime: Runtime): string | undefined => {
  const file = readLog(
    name,
    log,
    (bytes) => runtime.hash(bytes),
    () => undefined,
    true,
  )
  const path = file.header?.path ?? pathIn(file, runtime)
  return path !== undefined && name === `${toHex(runtime.hash(encodeUtf8(path)))}.log` ? path : undefined
}

const contentsOf = (log: Uint8Array, network: string, path: string, runtime: Runtime): Contents => {
  const hash = (bytes: Uint8Array): Uint8Array => runtime.hash(bytes)
  const { frames, damage, torn } = scan(log)
  const reader = new PackedLogReader(hash)
  const [first] = frames
  const header = first?.kind === frameKinds.header && first.offset === 0 ? first.payload : undefined
  const [entries, certificates, met, runs]: [Entry[], Uint8Array[], Uint8Array[], Run[]] = [[], [], [], []]
  const laid = frames.filter(({ kind }) => kind === frameKinds.floor)
  const snapshot = readFloor(laid)
  const dropped = snapshot && droppedCommits(snapshot)
  const floor = frames.filter(({ kind }) => dropped !== undefined && floorKinds.has(kind))
  const kept: Commit[] = []
  let open: Commit[] = []
  const gather = (): void => {
    runs.push(...gatherRuns(open, () => undefined))
    open = []
  }
  for (const frame of frames) {
    const { kind, payload } = frame
    const records = reader.records(frame)
    if (kind !== frameKinds.commit) gather()
    if (kind === frameKinds.entry) {
      const entry = readEntry(payload, hash)
      if (!isRefusal(entry) && (entry.network === network || entry.n === 0)) entries.push(entry)
    } else if (kind === frameKinds.certificate || kind === frameKinds.met) {
      const certificate = readCertificate(payload, hash)
      if (isRefusal(certificate) || certificate.network !== network) continue
      if (kind === frameKinds.met) met.push(payload)
      else certificates.push(payload)
    }
    for (const bytes of isRefusal(records) ? [] : records) {
      const commit = readCommit(bytes, hash)
      if (isRefusal(commit) || commit.network !== network || commit.repository !== path) continue
      if (dropped !== undefined && commit.seq <= dropped.floorOf(commit.chain)) kept.push(commit)
      else open.push(commit)
    }
    if (kind === frameKinds.pack) gather()
  }
  gather()
  const isLaid = laid.length === 0 || dropped !== undefined
  const isWhole = header !== undefined && damage.length === 0 && !torn && reader.holes.length === 0 && isLaid
  return { header, isWhole, entries, certificates, met, floor, dropped, kept, runs }
}

/** Appends what goes on; gives what of the own log does not. */
const placeEntries = (log: AuthorityLog, mine: Contents, theirs: readonly Contents[], { hash }: Runtime): Entry[] => {
  const all = [mine, ...theirs].flatMap(({ entries }) => entries)
  // Of two at one place the own one stands first, and stays so.
  for (const entry of all.sort((one, other) => one.epoch - other.epoch || one.n - other.n))
    if (log.check(entry, hash) === undefined) log.append(entry)
  return mine.entries.filter(({ n, id }) => log.entries[n]?.id !== id)
}

/** Commits in an order in which each stands behind what it builds on; `left`: of the own log, what still lacks something. */
const placeRuns = (
  log: AuthorityLog,
  mine: Contents,
  theirs: readonly Contents[],
  { hash }: Runtime,
): { readonly placed: readonly Commit[]; readonly left: readonly Commit[] } => {
  const commits = new Commits()
  if (mine.dropped !== undefined) commits.restore(mine.dropped)
  for (const commit of mine.kept) commits.keep(commit)
  commits.settle()
  const placed: Commit[] = []
  const isErased = (commit: string, key: string): boolean => log.erasures.at(commit, key) !== undefined
  const place = (run: Run): boolean => {
    const fresh = run
      .filter(({ id }) => commits.get(id) === undefined)
      .map((commit) => stripCommit(commit, (key) => isErased(commit.id, key), hash))
    for (const [staged, commit] of fresh.entries()) {
      if (commits.check(commit, isErased) !== undefined) {
        commits.rollback(staged)
        return false
      }
      commits.stage(commit)
    }
    commits.settle()
    placed.push(...fresh)
    return true
  }
  let waiting = [mine, ...theirs].flatMap(({ runs }) => runs)
  for (let count = -1; waiting.length !== count; ) {
    count = waiting.length
    waiting = waiting.filter((run) => !place(run))
  }
  const left = waiting.filter((run) => mine.runs.includes(run)).flat()
  return { placed, left }
}

const isSame = (one: Uint8Array, other: Uint8Array | undefined): boolean =>
  other !== undefined && equalBytes(one, other)

const distinct = (payloads: readonly Uint8Array[], { hash }: Runtime): Uint8Array[] => [
  ...new Map(payloads.map((payload) => [toHex(hash(payload)), payload])).values(),
]
