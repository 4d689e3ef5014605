/**
 * One history, delivered in many orders: whatever comes first, commits or the entries that fence, revoke, void or decide about them, a
 * replica ends with the same values and the same dead changes, and they are the oracle's (`fates.ts`). Rows B4, B6 and B8.
 */
import { hash as digest } from 'node:crypto'
import type { Runtime, Schema } from '@weft-db/engine'
import { memoryFiles } from '@weft-db/storage/memory'
import { Certificates } from '../../packages/engine/src/replica/certificates.ts'
import { Clock } from '../../packages/engine/src/replica/clock.ts'
import type { Host } from '../../packages/engine/src/replica/host.ts'
import { Judging } from '../../packages/engine/src/replica/judging.ts'
import { Repository } from '../../packages/engine/src/replica/repository.ts'
import { RootLog } from '../../packages/engine/src/replica/rootlog.ts'
import { versionsOf } from '../../packages/engine/src/trust/rules.ts'
import { valueIn } from './agreement.ts'
import { began, Chronicle, type Temper, usualTemper } from './chronicle.ts'
import { type Fate, type Fates, fatesOf } from './fates.ts'
import { Stream } from './random.ts'
import { sha256 } from './shelf.ts'
import { boardPath, Card } from './worlds/card.ts'
import { charter } from './worlds/charter.ts'

export interface Tried {
  readonly trials: number
  readonly violations: number
  /** What the first violation was. */
  readonly first: string | undefined
  /** How many changes met each fate, over all histories. */
  readonly fates: Readonly<Record<string, number>>
}

const schemaHash = digest('sha256', Card.definition)
const newestRules = 1

const codes: Readonly<Partial<Record<Fate, string>>> = {
  founding: 'NotFounder',
  fence: 'RevokedBeforeSync',
  revoked: 'RevokedBeforeSync',
  branch: 'BranchLost',
  verdict: 'Voided',
}

/** A replica of one repository with nothing around it. */
class Reader {
  readonly repository: Repository
  readonly forked = new Set<string>()
  readonly #root: RootLog
  readonly #chronicle: Chronicle
  readonly #refused: string[] = []

  constructor(chronicle: Chronicle, stream: Stream, known = 1) {
    this.#chronicle = chronicle
    const runtime: Runtime = {
      now: () => began + 60_000,
      elapsed: () => 0,
      timer: () => () => undefined,
      random: (length) => stream.bytes(length),
      hash: sha256,
      generateKey: async () => chronicle.signatures.generate(stream),
      verify: async (key, message, signature) => chronicle.signatures.verify(key, message, signature),
    }
    this.#root = new RootLog(runtime)
    const certificates = new Certificates(runtime, this.#root)
    for (const { certificate } of chronicle.authors) certificates.keep(certificate)
    for (const entry of chronicle.root.slice(0, known)) this.#root.append(entry)
    const versions = versionsOf(charter(newestRules))
    const host: Host = {
      runtime,
      clock: new Clock(() => runtime.now()),
      root: this.#root,
      certificates,
      authority: false,
      captureRate: 3,
      identity: undefined,
      lasting: true,
      app: new Uint8Array(32),
      snapshotFrom: Number.POSITIVE_INFINITY,
      offlineWindow: Number.POSITIVE_INFINITY,
      isBehind: false,
      leaving: false,
      schemaHash: () => schemaHash,
      schema: (hash): Schema | undefined => (hash === schemaHash ? Card : undefined),
      judging: new Judging((version) => versions.get(version), this.#root, certificates, {
        report: () => undefined,
        twice: false,
      }),
      rejected: () => undefined,
      erased: () => undefined,
      incident: () => undefined,
      forked: (met) => {
        if (met.kind === 'chain') for (const { chain } of met.other) this.forked.add(chain)
      },
      opening: () => undefined,
      progress: () => undefined,
      sharing: () => ({ storing: () => undefined, stored: () => undefined }),
      committed: () => undefined,
      entered: () => undefined,
      refused: (_repository, _origin, id, why) => void this.#refused.push(`${why.code} ${why.about} (${id})`),
      misplaced: () => undefined,
      person: undefined,
      room: () => {
        throw new Error('nobody is here')
      },
      ask: async () => undefined,
    }
    this.repository = new Repository(boardPath, host)
  }

  /** What was not admitted, which is nothing. */
  get refused(): readonly string[] {
    return this.#refused
  }

  get roots(): number {
    return this.#root.size
  }

  nextRoot(): void {
    const entry = this.#chronicle.root[this.#root.size]
    if (entry === undefined) return
    this.#root.append(entry)
    this.repository.reconsider()
  }

  async receive(
    commits: readonly { readonly bytes: Uint8Array }[],
    entries: readonly { readonly bytes: Uint8Array }[],
  ) {
    await this.repository.pipeline.receive(
      {},
      { certificates: [], commits: commits.map(({ bytes }) => bytes), entries: entries.map(({ bytes }) => bytes) },
    )
  }

  /** How what it shows differs from what the oracle says, if it does. */
  wrong(fates: Fates): string | undefined {
    if (this.#refused.length > 0) return `refused ${this.#refused[0]}`
    for (const [id, byKey] of fates.of) {
      const denied = new Map(this.repository.whyDenied(id).map(({ key, why }) => [key, why.code]))
      for (const [key, fate] of byKey) {
        const code = denied.get(key)
        if (fate === 'held' || [...byKey.values()].includes('held')) continue
        const isRight = (fate === 'counts') === (code === undefined) && (codes[fate] ?? code) === code
        if (!isRight) return `${id.slice(0, 8)} ${key} is ${code ?? 'counted'}, not ${fate}`
      }
    }
    for (const [key, value] of fates.values) {
      const [shown, right] = [JSON.stringify(valueIn(this.repository, key)), JSON.stringify(value)]
      if (shown !== right) return `${key} shows ${shown} instead of ${right}`
    }
    return undefined
  }
}

type Unit = { readonly commit: number } | { readonly entry: number } | { readonly root: number }

/** An order in which everything may come: logs each in turn, an entry behind the root position it knows, commits anyhow. */
const scheduleOf = (chronicle: Chronicle, stream: Stream): Unit[] => {
  const causal = stream.chance(0.5)
  const left = causal ? chronicle.commits.map((_, at) => at) : stream.shuffle(chronicle.commits.map((_, at) => at))
  const [entryRate, rootRate] = [stream.pick([0.02, 0.3, 0.95]), stream.pick([0.02, 0.3, 0.9])]
  const units: Unit[] = []
  let [entry, root] = [0, 1]
  while (left.length > 0 || entry < chronicle.log.length || root < chronicle.root.length) {
    const mayRoot = root < chronicle.root.length
    const next = chronicle.log[entry]
    const mayEntry = next !== undefined && (next.root?.n ?? 0) < root
    if (mayRoot && (stream.chance(rootRate) || (left.length === 0 && !mayEntry))) units.push({ root: root++ })
    else if (mayEntry && (stream.chance(entryRate) || left.length === 0)) units.push({ entry: entry++ })
    else {
      const commit = left.shift()
      if (commit !== undefined) units.push({ commit })
    }
  }
  return units
}

const deliver = async (chronicle: Chronicle, reader: Reader, units: readonly Unit[], stream: Stream): Promise<void> => {
  const batch = stream.pick([1, 1, 4, 50])
  let commits: { readonly bytes: Uint8Array }[] = []
  let entries: { readonly bytes: Uint8Array }[] = []
  const flush = async (): Promise<void> => {
    if (commits.length + entries.length > 0) await reader.receive(commits, entries)
    commits = []
    entries = []
  }
  for (const unit of units) {
    if ('root' in unit) {
      await flush()
      reader.nextRoot()
    } else {
      const [commit, entry] =
        'commit' in unit ? [chronicle.commits[unit.commit]] : [undefined, chronicle.log[unit.entry]]
      if (commit !== undefined) commits.push(commit)
      if (entry !== undefined) entries.push(entry)
    }
    if (commits.length + entries.length >= batch) await flush()
    if (stream.chance(0.1)) reader.repository.counting.retry()
  }
  await flush()
}

const play = async (
  chronicle: Chronicle,
  fates: Fates,
  stream: Stream,
  forks: ReadonlySet<string>,
): Promise<string | undefined> => {
  const files = memoryFiles()
  const reader = new Reader(chronicle, stream)
  await reader.repository.open(files, 'board')
  await deliver(chronicle, reader, scheduleOf(chronicle, stream), stream)
  const wrong = reader.wrong(fates)
  if (wrong !== undefined) return wrong
  for (const chain of forks) if (!reader.forked.has(chain)) return `the fork of ${chain.slice(0, 8)} was not seen`
  if (!stream.chance(0.25)) return undefined
  await reader.repository.close()
  // The same log, opened again by somebody who knows all of the root log, or learns it then.
  const again = new Reader(chronicle, stream, stream.chance(0.5) ? chronicle.root.length : 1)
  await again.repository.open(files, 'board')
  while (again.roots < chronicle.root.length) again.nextRoot()
  const opened = again.wrong(fates)
  return opened === undefined ? undefined : `opened again, ${opened}`
}

/** Chains with two commits at one place. */
const forksOf = ({ commits }: Chronicle): Set<string> => {
  const places = new Set<string>()
  const forked = new Set<string>()
  for (const { chain, seq } of commits) {
    const place = `${chain}/${seq}`
    if (places.has(place)) forked.add(chain)
    places.add(place)
  }
  return forked
}

const ordersOfOne = 20

const tryOrders = async ({ trials, seed, report }: TryOptions, temper: Temper): Promise<Tried> => {
  const counts: Record<string, number> = {}
  let [tried, violations] = [0, 0]
  let first: string | undefined
  for (let history = 0; tried < trials; history++) {
    const name = `${seed}/${history}`
    const chronicle = await Chronicle.of(name, temper)
    const { commits, root, log } = chronicle
    const ownerOf = (session: string): string | undefined => chronicle.ownerOf(session)
    const fates = fatesOf({ commits, root, log, ownerOf, newestRules })
    for (const byKey of fates.of.values()) for (const fate of byKey.values()) counts[fate] = (counts[fate] ?? 0) + 1
    const forks = forksOf(chronicle)
    for (let order = 0; order < ordersOfOne && tried < trials; order++) {
      tried++
      const wrong = await play(chronicle, fates, new Stream(name, `order/${order}`), forks).catch(
        (error: unknown) => `it threw: ${error instanceof Error ? error.stack : String(error)}`,
      )
      if (wrong === undefined) continue
      violations++
      first ??= `${name} order ${order}: ${wrong}`
      report?.(`${name} order ${order}: ${wrong}`)
    }
  }
  return { trials: tried, violations, first, fates: counts }
}

export interface TryOptions {
  readonly trials: number
  readonly seed: string
  readonly report?: (line: string) => void
}

/** B6: grants, demotions and removals behind fences, at any time. */
export const fenceOrders = (options: TryOptions): Promise<Tried> => tryOrders(options, { ...usualTemper, grant: 26 })

/** B8: chains that fork, two and many branches. Every fork is seen. */
export const equivocations = (options: TryOptions): Promise<Tried> =>
  tryOrders(options, { ...usualTemper, fork: 0.5, checkpoint: 20, grant: 6 })

/** Sessions and owners whose access ends at any time. */
export const revocations = (options: TryOptions): Promise<Tried> => tryOrders(options, { ...usualTemper, revoke: 18 })
