/**
 * Replays an editing trace through real commits, real signatures and real sync, and compares what every replica ends with.
 *
 * Sequential: one client writes, the commits go to the authority and from there to a second client. Concurrent: one replica an agent,
 * away from the authority; before it makes a transaction it is given exactly the commits it lacks of that transaction's past, through the
 * pipeline that takes what a channel brings, and its heads are compared with the transaction's parents. At the end all come back,
 * reconcile, and a new client clones.
 */
import {
  type Commit,
  type Database,
  type Files,
  type Item,
  isRefusal,
  logName,
  type Repository,
  readCommit,
  saved,
} from '@weft-db/engine'
import { memoryFiles } from '@weft-db/storage/memory'
import { toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { Scanner } from '../../packages/engine/src/log/frame.ts'
import { PackedLogReader } from '../../packages/engine/src/log/packedlog.ts'
import { liveOf } from '../../packages/engine/src/replica/item.ts'

import { fingerprint } from '../../packages/engine/src/sync/fingerprint.ts'
import { until } from '../road/ring.ts'
import { type Medium, Page, Town } from './town.ts'
import { hasPairs, type Patch, type Step, stepsOf, type Trace, unitsOf } from './trace.ts'

export interface ReplayOptions {
  readonly transport?: Medium
  /** Edits packed into one commit; one commit a transaction unless told. */
  readonly every?: number
  /** Where the authority keeps its logs; memory unless told. */
  readonly files?: Files
  /** ms without a new commit anywhere until it is given up. */
  readonly patience?: number
  readonly onProgress?: (commits: number, of: number) => void
}

export interface Report {
  readonly trace: string
  readonly transport: Medium
  readonly edits: number
  readonly agents: number
  /** In the authority's log, as read back from it. */
  readonly commits: number
  readonly replicas: number
  /** All replicas hold the same commits and show the same text. */
  readonly converged: boolean
  /** Each shows the trace's `endContent`. */
  readonly matchesEndContent: boolean
  /** Every transaction was made on a replica that held its parents' past and no more. */
  readonly exactParents: boolean
  readonly seconds: number
  readonly bytesLog: number
  readonly bytesWire: number
  readonly messages: number
  readonly usPerEdit: number
  /** The first ten refusals and oddities that a replica told of; how many there were beyond. */
  readonly incidents: readonly string[]
  readonly moreIncidents: number
}

const path = '/page/trace'
const key = 'page'
/** Commits the writer may be ahead of its own log. */
const mostUnsaved = 1_024
/** Transactions between two looks at whether others are waiting for their turn. */
const turn = 64

const aTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

type Live = Item<typeof Page>

interface Writer {
  readonly replica: Database
  readonly repository: Repository
  page: Live | undefined
}

const pageOf = ({ repository }: { readonly repository: Repository }): Live | undefined =>
  repository.item(Page, key) ?? undefined

/** Makes one commit of a step. */
const write = (writer: Writer, patches: readonly Patch[], start: string, pairs: boolean): void => {
  const { repository } = writer
  repository.transact(() => {
    writer.page ??= pageOf(writer) ?? repository.create(Page, start === '' ? {} : { text: start }, { key })
    const { text } = writer.page
    for (const [at, remove, insert] of patches) {
      if (!pairs) {
        text.splice(at, remove, insert)
        continue
      }
      const before = text.toString()
      const from = unitsOf(before, at)
      text.splice(from, unitsOf(before, remove, from) - from, insert)
    }
  })
}

export const replay = async (trace: Trace, options: ReplayOptions = {}): Promise<Report> => {
  const files = options.files ?? memoryFiles()
  const transport = options.transport ?? 'socketio'
  const town = await Town.open(transport, files)
  try {
    const steps = stepsOf(trace, options.every)
    const cast = trace.kind === 'sequential' ? sequential : concurrent
    const started = town.runtime.elapsed()
    const outcome = await cast(town, trace, steps, options)
    const seconds = (town.runtime.elapsed() - started) / 1000
    const repositories = outcome.replicas.map((replica) => replica.repository(path))
    const texts = repositories.map((repository) => pageOf({ repository })?.text.toString())
    const prints = repositories.map((repository) =>
      toHex(fingerprint(repository.pipeline.commits.heads(), town.runtime.hash)),
    )
    await town.close(town.authority)
    const log = await readLog(files, town)
    const edits = trace.transactions.reduce((sum, { patches }) => sum + patches.length, 0)
    return {
      trace: trace.name,
      transport,
      edits,
      agents: trace.agents,
      commits: log.commits,
      replicas: outcome.replicas.length,
      converged: new Set(texts).size === 1 && new Set(prints).size === 1 && log.commits === outcome.commits,
      matchesEndContent: texts.every((text) => text === trace.endContent),
      exactParents: outcome.exactParents,
      seconds: Math.round(seconds * 1000) / 1000,
      bytesLog: log.bytes,
      bytesWire: town.meter.bytes,
      messages: town.meter.messages,
      usPerEdit: Math.round((seconds * 1e7) / Math.max(1, edits)) / 10,
      incidents: town.incidents.slice(0, 10),
      moreIncidents: Math.max(0, town.incidents.length - 10),
    }
  } finally {
    await town.end()
  }
}

/** What the authority's log holds, read as any reader of the format would. */
const readLog = async (files: Files, town: Town): Promise<{ commits: number; bytes: number }> => {
  const name = logName(path, town.runtime)
  const file = await files.open(name, false)
  if (file === undefined) return { commits: 0, bytes: 0 }
  const scanner = new Scanner()
  const packs = new PackedLogReader(town.runtime.hash)
  const ids = new Set<string>()
  const take = (frames: ReturnType<Scanner['push']>): void => {
    for (const frame of frames) {
      const records = packs.records(frame)
      if (isRefusal(records)) throw new Error(`the log holds a pack that is ${records.code} ${records.about}`)
      for (const bytes of records) {
        const commit = readCommit(bytes, town.runtime.hash)
        if (isRefusal(commit)) throw new Error(`the log holds a commit that is ${commit.code} ${commit.about}`)
        ids.add(commit.id)
      }
    }
  }
  const bytes = await file.size()
  for (let offset = 0; offset < bytes; ) {
    const piece = await file.read(offset, 1_048_576)
    if (piece.length === 0) break
    offset += piece.length
    take(scanner.push(piece))
  }
  take(scanner.end())
  await file.close()
  if (scanner.damage.length > 0 || scanner.torn) throw new Error(`the log ${name} is damaged`)
  return { commits: ids.size, bytes }
}

interface Outcome {
  readonly replicas: readonly Database[]
  readonly exactParents: boolean
  /** Made, so that the log must hold as many. */
  readonly commits: number
}

/** Waits until all hold `count` commits, or until none has got a new one for as long as patience lasts. */
const gathered = (
  town: Town,
  replicas: readonly Database[],
  count: number,
  { patience = 60_000 }: ReplayOptions,
): Promise<void> => {
  const repositories = replicas.map((replica) => replica.repository(path))
  const held = (): number => repositories.reduce((sum, { pipeline }) => sum + Math.min(count, pipeline.commits.size), 0)
  let over = false
  let cancel: (() => void) | undefined
  const watch = (before: number): void => {
    cancel = town.runtime.timer(patience, () => {
      const now = held()
      if (now > before) return watch(now)
      town.incidents.push(
        `given up: ${repositories.map(({ pipeline }) => pipeline.commits.size).join(', ')} of ${count} commits`,
      )
      over = true
      settle()
    })
  }
  let settle = (): void => undefined
  const stalled = new Promise<void>((resolve) => {
    settle = resolve
  })
  watch(held())
  const all = until(replicas, () => over || repositories.every(({ pipeline }) => pipeline.commits.size >= count))
  return Promise.race([all, stalled]).finally(() => cancel?.())
}

const sequential = async (
  town: Town,
  trace: Trace,
  steps: readonly Step[],
  options: ReplayOptions,
): Promise<Outcome> => {
  const [author, reader] = [await town.join('author'), await town.join('reader')]
  const writer: Writer = { replica: author, repository: author.repository(path), page: undefined }
  await Promise.all([writer.repository.ready, reader.repository(path).ready])
  const pairs = hasPairs(trace)
  let exactParents = true
  let before = ''
  let commits = 0
  for (const [place, { patches }] of steps.entries()) {
    write(writer, patches, trace.startContent, pairs)
    const graph = graphOf(writer)
    const [head, ...more] = graph?.heads ?? []
    const node = head === undefined ? undefined : graph?.node(head)
    const parents = node?.parents.map((index) => graph?.node(index).id) ?? []
    if (more.length > 0 || (node?.id !== before && parents.join() !== before)) exactParents = false
    if (node !== undefined && node.id !== before) commits++
    before = node?.id ?? ''
    if (place % turn !== 0) continue
    await aTurn()
    options.onProgress?.(place, steps.length)
    if (writer.repository.unsaved > mostUnsaved)
      await until([author], () => writer.repository.unsaved < mostUnsaved / 2)
  }
  const replicas = [author, reader, town.authority]
  await gathered(town, replicas, commits, options)
  return { replicas, exactParents, commits }
}

const graphOf = ({ page }: Writer) => (page === undefined ? undefined : liveOf(page).merged.graph)

const headsOf = (writer: Writer): string[] => {
  const graph = graphOf(writer)
  return graph?.heads.map((index) => graph.node(index).id) ?? []
}

/** What the agents made, by commit: found with whoever made it. */
class Made {
  readonly #town: Town
  readonly #authors = new Map<string, Writer>()
  /** When each was made: parents before children. */
  readonly #places = new Map<string, number>()

  constructor(town: Town) {
    this.#town = town
  }

  get size(): number {
    return this.#authors.size
  }

  add(id: string, author: Writer): void {
    this.#places.set(id, this.#authors.size)
    this.#authors.set(id, author)
  }

  async #commit(id: string): Promise<Commit> {
    const author = this.#authors.get(id)
    if (author?.page === undefined) throw new Error(`nobody made ${id}`)
    if (!author.repository.pipeline.commits.has(id)) await saved(author.page, 'local')
    const commit = author.repository.pipeline.commits.get(id)
    if (commit === undefined) throw new Error(`${id} was not stored: ${this.#town.incidents.at(-1)}`)
    return commit
  }

  /** The commits of the past of `version`, itself included, that the replica does not hold: parents first. */
  async #missing(writer: Writer, version: readonly string[]): Promise<Commit[]> {
    const { commits } = writer.repository.pipeline
    const open = version.filter((id) => this.#authors.get(id) !== writer && commits.get(id) === undefined)
    const found = new Map<string, Commit>()
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      if (found.has(id)) continue
      const commit = await this.#commit(id)
      found.set(id, commit)
      for (const parent of commit.changes[0]?.parents ?? []) {
        if (this.#authors.get(parent) !== writer && commits.get(parent) === undefined) open.push(parent)
      }
    }
    const placeOf = ({ id }: Commit): number => this.#places.get(id) ?? 0
    return [...found.values()].sort((a, b) => placeOf(a) - placeOf(b))
  }

  /** Gives a replica what it lacks of a version. Returns whether it holds the version's past, and nothing else, afterwards. */
  async bring(writer: Writer, version: readonly string[]): Promise<boolean> {
    const missing = await this.#missing(writer, version)
    if (missing.length > 0) {
      // What the replica made itself is on its own road; what comes builds on it.
      if (writer.page !== undefined) await saved(writer.page, 'local')
      const authors = new Set(missing.flatMap(({ id }) => this.#authors.get(id) ?? []))
      const certificates = [...authors].flatMap(({ replica }) => {
        const session = replica.session?.id
        return (session === undefined ? undefined : replica.certificates.get(session)?.bytes) ?? []
      })
      const commits = missing.map(({ bytes }) => bytes)
      await writer.repository.pipeline.receive(this, { certificates, commits, entries: [] })
      writer.page ??= pageOf(writer)
    }
    // Its heads are of the version, so it holds no more; the version is there, so it holds no less.
    const graph = graphOf(writer)
    return (
      headsOf(writer).every((id) => version.includes(id)) && version.every((id) => graph?.indexOf(id) !== undefined)
    )
  }
}

const concurrent = async (
  town: Town,
  trace: Trace,
  steps: readonly Step[],
  options: ReplayOptions,
): Promise<Outcome> => {
  const agents = await Promise.all(Array.from({ length: trace.agents }, (_, agent) => town.leave(`agent ${agent}`)))
  const writers = agents.map(
    ({ replica }): Writer => ({ replica, repository: replica.repository(path), page: undefined }),
  )
  await Promise.all(writers.map(({ repository }) => repository.ready))
  const pairs = hasPairs(trace)
  const made = new Made(town)
  /** Heads after each step; a step that changes nothing makes no commit. */
  const versions: (readonly string[])[] = []
  let exactParents = true
  for (const [place, { parents, agent, patches }] of steps.entries()) {
    const writer = writers[agent]
    if (writer === undefined) throw new Error(`transaction by agent ${agent} of ${trace.agents}`)
    const version = [...new Set(parents.flatMap((parent) => versions[parent] ?? []))]
    if (!(await made.bring(writer, version))) exactParents = false
    write(writer, patches, trace.startContent, pairs)
    const after = headsOf(writer)
    for (const id of after) if (!version.includes(id)) made.add(id, writer)
    versions.push(after)
    if (place % turn !== 0) continue
    await aTurn()
    options.onProgress?.(place, steps.length)
  }
  for (const { gate } of agents) gate.open()
  const replicas = [...agents.map(({ replica }) => replica), town.authority]
  await gathered(town, replicas, made.size, options)
  const late = await town.join('late')
  await late.repository(path).ready
  await gathered(town, [late], made.size, options)
  return { replicas: [...replicas, late], exactParents, commits: made.size }
}
