/**
 * Histories of one text with what recorded traces lack: several authors who insert at one place at the same time, deletions around what
 * another author is writing, changes that no replica can apply, and changes that the authority voids while others build on them. All
 * of it is made by real replicas that are away from each other and pass commits and entries on through their pipelines; one seed gives one
 * history, down to the ids.
 */
import {
  type Commit,
  type Database,
  isRefusal,
  type Repository,
  type Runtime,
  readCommit,
  saved,
} from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { memoryFiles } from '@weft-db/storage/memory'
import { toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { chainName, composeCommit, sealCommit, signedBytes } from '../../packages/engine/src/commit/commit.ts'
import type { Operation } from '../../packages/engine/src/commit/operation.ts'
import type { TextHistory } from '../../packages/engine/src/merge/text-history.ts'
import { Authority } from '../../packages/engine/src/replica/authority.ts'
import { Clock } from '../../packages/engine/src/replica/clock.ts'
import { until } from '../road/ring.ts'
import { type Stream, stream } from '../sim/random.ts'
import { Signatures } from '../sim/signatures.ts'
import { Page, Town } from './town.ts'

export const path = '/page/generated'
const key = 'page'
const letters = ['a', 'b', 'c', 'def', 'ghij', '🧵', '\n']

export interface Made {
  readonly commits: readonly Commit[]
  /** Of all sessions. */
  readonly certificates: readonly Uint8Array[]
  /** The authority's, in order: each voids a commit. */
  readonly entries: readonly Uint8Array[]
  /** The text as each author saw it at the end, with what the author knew. */
  readonly seen: readonly { readonly text: string; readonly version: readonly string[]; readonly entries: number }[]
  /** The history as the slow oracle takes it: of what the authority voided, the first so many entries are known. */
  history(entries: number): TextHistory
  indexOf(id: string): number
}

/** One seed's surroundings: names draw from streams of their own, the wall clock stands still. */
const seededRuntimes = (seed: string): ((name: string) => Runtime) => {
  const signatures = new Signatures('fast', stream(seed, 'signatures'))
  return (name) => {
    const draws = stream(seed, `runtime ${name}`)
    return {
      ...nodeRuntime(),
      now: () => 1_700_000_000_000,
      random: (length) => draws.bytes(length),
      generateKey: async () => signatures.generate(draws),
      verify: async (publicKey, message, signature) => signatures.verify(publicKey, message, signature),
    }
  }
}

export class Player {
  readonly replica: Database
  readonly repository: Repository
  /** Entries of the authority it has taken in. */
  entries = 0

  constructor(replica: Database) {
    this.replica = replica
    this.repository = replica.repository(path)
  }

  get page() {
    return this.repository.item(Page, key) ?? undefined
  }

  get text(): string {
    return this.page?.text.toString() ?? ''
  }

  get version(): string[] {
    const graph = this.repository.counting.item(key, this.replica.schemaHash(Page))?.graph
    return graph?.heads.map((index) => graph.node(index).id) ?? []
  }

  async take(
    commits: readonly Commit[],
    certificates: readonly Uint8Array[],
    entries: readonly Uint8Array[] = [],
  ): Promise<void> {
    if (this.page !== undefined) await saved(this.page, 'local')
    await this.repository.pipeline.receive(this, { certificates, commits: commits.map(({ bytes }) => bytes), entries })
    this.entries += entries.length
  }
}

/** Writes what its replica cannot apply: a splice beyond the end, a field that is not there. */
class Forger {
  readonly #player: Player
  readonly #runtime: Runtime
  readonly #clock: Clock
  readonly #incarnation: string
  #seq = 0
  #prev: string | null = null

  constructor(player: Player, runtime: Runtime) {
    this.#player = player
    this.#runtime = runtime
    this.#clock = new Clock(() => runtime.now())
    this.#incarnation = toHex(runtime.random(8))
  }

  async forge(operations: readonly Operation[]): Promise<Commit> {
    const { replica, repository, version } = this.#player
    const { identity, root, runtime } = replica
    const { network, position } = root
    if (identity === undefined || network === undefined || position === null)
      throw new Error('the forger is not logged in')
    for (const id of version) this.#clock.see(repository.pipeline.commits.get(id)?.clock ?? 0)
    const schema = { name: Page.name, version: Page.version, hash: replica.schemaHash(Page) }
    const unsigned = composeCommit(
      {
        network,
        repository: path,
        session: identity.session,
        incarnation: this.#incarnation,
        seq: this.#seq,
        prev: this.#prev,
        clock: this.#clock.next(),
        policy: { root: position, authority: repository.pipeline.log.position },
        atomic: false,
        extended: false,
      },
      [{ key, parents: version.sort((a, b) => (a < b ? -1 : 1)), schema, operations, salt: this.#runtime.random(12) }],
      runtime.hash,
    )
    this.#seq++
    this.#prev = unsigned.id
    const commit = sealCommit(unsigned, await identity.key.sign(signedBytes(unsigned.id)))
    if (commit.chain !== chainName(identity.session, this.#incarnation)) throw new Error('another chain than was meant')
    return commit
  }
}

/** An edit where it meets the edits of others: at the start, in the middle, at the end, and over what lies around. */
const editText = (page: NonNullable<Player['page']>, draws: Stream): void => {
  const { text } = page
  const size = text.length
  const hot = [0, size >> 1, size, draws.int(size + 1)]
  const at = draws.pick(hot)
  switch (draws.int(6)) {
    case 0:
      text.remove(Math.max(0, at - 3), 1 + draws.int(7))
      break
    case 1:
      text.splice(Math.max(0, at - 1), draws.int(4), draws.pick(letters))
      break
    case 2:
      // Backwards: each letter before the last.
      for (let left = 1 + draws.int(3); left > 0; left--) text.insert(at, draws.pick(letters))
      break
    default: {
      let place = at
      for (let left = 1 + draws.int(4); left > 0; left--) {
        const letter = draws.pick(letters)
        text.insert(place, letter)
        place += letter.length
      }
    }
  }
}

const authorsCount = 3

/** Calls `use` with a history and the town it was made in, which ends afterwards. */
export const withHistory = async (
  seed: string,
  steps: number,
  use: (made: Made, town: Town) => Promise<void>,
): Promise<void> => {
  const runtimeOf = seededRuntimes(seed)
  const town = await Town.open('memory', memoryFiles(), runtimeOf)
  try {
    await use(await makeHistory(town, stream(seed, 'history'), steps, runtimeOf), town)
  } finally {
    await town.end()
  }
}

const makeHistory = async (
  town: Town,
  draws: Stream,
  steps: number,
  runtimeOf: (name: string) => Runtime,
): Promise<Made> => {
  const authors: Player[] = []
  for (let place = 0; place <= authorsCount; place++)
    authors.push(new Player((await town.leave(`author ${place}`)).replica))
  const villain = authors.pop()
  if (villain === undefined) throw new Error('nobody forges')
  const forger = new Forger(villain, runtimeOf('forger'))
  for (const { repository } of [...authors, villain]) await repository.ready
  const certificates = [...authors, villain].map(({ replica }) => {
    const certificate = replica.certificates.get(replica.session?.id ?? '')
    if (certificate === undefined) throw new Error('an author is not certified')
    return certificate.bytes
  })
  // The authority holds the entries and, as long as the authors are away, no commit that a checkpoint could cover.
  const desk = town.authority.repository(path)
  await desk.ready
  const commits: Commit[] = []
  const inapplicable = new Set<string>()
  const voided = new Map<string, number>()

  const keep = (player: Player): void => {
    for (let index = 0; ; index++) {
      const commit = player.repository.pipeline.commits.at(index)
      if (commit === undefined) return
      if (!commits.some(({ id }) => id === commit.id)) commits.push(commit)
    }
  }
  const entriesFrom = (n: number): Uint8Array[] => desk.pipeline.log.entries.slice(n).map(({ bytes }) => bytes)
  /** Everything another player holds, and no entry before it is wanted: a commit that cites one brings it. */
  const takeIn = async (to: Player, from: Player): Promise<void> => {
    const held = commits.filter(({ id }) => from.repository.pipeline.commits.has(id))
    await to.take(held, certificates, entriesFrom(to.entries).slice(0, Math.max(0, from.entries - to.entries)))
  }
  const write = async (player: Player): Promise<void> => {
    player.repository.transact(() => {
      const page = player.page ?? player.repository.create(Page, {}, { key })
      editText(page, draws)
    })
    const { page } = player
    if (page !== undefined) await saved(page, 'local')
    keep(player)
  }

  for (let step = 0; step < steps; step++) {
    const player = draws.pick(authors)
    const kind = draws.unit()
    if (kind < 0.3) await takeIn(player, draws.pick(authors))
    else if (kind < 0.4 && commits.length > 2) {
      const victim = draws.pick(commits)
      if (!voided.has(victim.id)) {
        const n = desk.pipeline.log.entries.length
        const { runtime, root, clock, judging } = town.authority
        const judge = new Authority(town.key, runtime, root, clock, judging, ({ code }) =>
          town.incidents.push(`judge: ${code}`),
        )
        void judge.void(desk, {
          kind: 'verdict',
          commit: victim.id,
          key: null,
          code: 'NotAllowed',
          rule: 'a rule',
          reason: 'a reason',
        })
        await until([town.authority], () => desk.pipeline.durableEntries > n)
        voided.set(victim.id, n)
      }
      if (draws.chance(0.6)) await player.take([], [], entriesFrom(player.entries))
    } else if (kind < 0.47 && player.page !== undefined) {
      await takeIn(villain, player)
      const at = villain.text.length + 2 + draws.int(3)
      const beyond: Operation = { kind: 'splice', field: 'text', at, remove: 0, length: 1, insert: 'x' }
      const alien: Operation = { kind: 'assign', field: 'colour', value: 'red' }
      const inside: Operation = { kind: 'splice', field: 'text', at: 0, remove: 0, length: 1, insert: '!' }
      const commit = await forger.forge(draws.chance(0.5) ? [inside, beyond] : [inside, alien])
      inapplicable.add(commit.id)
      commits.push(commit)
      await villain.take([commit], certificates)
      if (draws.chance(0.7)) await takeIn(player, villain)
    } else await write(player)
  }
  return {
    commits,
    certificates,
    entries: entriesFrom(0),
    seen: authors.map(({ text, version, entries }) => ({ text, version, entries })),
    indexOf: (id) => commits.findIndex((commit) => commit.id === id),
    history: (entries) => historyOf(town, commits, inapplicable, voided, entries),
  }
}

/** The history read from the bytes of its commits, by nothing of the engine but its reader. */
const historyOf = (
  town: Town,
  commits: readonly Commit[],
  inapplicable: ReadonlySet<string>,
  voided: ReadonlyMap<string, number>,
  entries: number,
): TextHistory => {
  const events = commits.map(({ bytes }) => {
    const commit = readCommit(bytes, town.runtime.hash)
    if (isRefusal(commit)) throw new Error(`a commit was made that is ${commit.code}`)
    const [change] = commit.changes
    const splices = inapplicable.has(commit.id)
      ? []
      : (change?.operations ?? []).flatMap((operation) => {
          if (operation.kind !== 'splice') return []
          const { at, remove, insert } = operation
          return [{ at, remove, insert: insert ?? '' }]
        })
    return { id: commit.id, seen: commit.policy.authority?.n ?? -1, parents: change?.parents ?? [], splices }
  })
  const places = new Map(events.map(({ id }, place) => [id, place]))
  const at = (event: number) => {
    const found = events[event]
    if (found === undefined) throw new Error(`no event ${event}`)
    return found
  }
  return {
    parents: (event) => at(event).parents.map((id) => places.get(id) ?? -1),
    splices: (event) => at(event).splices,
    tieBreak: (event) => at(event).id,
    dead: (event) => inapplicable.has(at(event).id) || (voided.get(at(event).id) ?? Number.POSITIVE_INFINITY) < entries,
    deadTo: (event, author) =>
      inapplicable.has(at(event).id) || (voided.get(at(event).id) ?? Number.POSITIVE_INFINITY) <= at(author).seen,
  }
}

/** Gives a new replica everything, in an order of its own that is closed under causality, entries at places of their own between. */
export const readmit = async (made: Made, player: Player, draws: Stream): Promise<void> => {
  await player.repository.ready
  const open = new Set(made.commits)
  const given = new Set<string>()
  let batch: Commit[] = []
  const flush = async (): Promise<void> => {
    const left = made.entries.slice(player.entries)
    await player.take(batch, made.certificates, left.slice(0, draws.int(left.length + 1)))
    batch = []
  }
  while (open.size > 0) {
    const ready = [...open].filter(
      ({ prev, changes }) =>
        (prev === null || given.has(prev)) && changes.every(({ parents }) => parents.every((id) => given.has(id))),
    )
    const next = draws.pick(ready)
    open.delete(next)
    given.add(next.id)
    batch.push(next)
    if (draws.chance(0.25)) await flush()
  }
  await player.take(batch, made.certificates, made.entries.slice(player.entries))
}
