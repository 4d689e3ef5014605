/** Two machines of reconciliation over stores in memory, with a channel that keeps order, pipelines that take their time, and virtual time. */
import { createHash } from 'node:crypto'
import { concatBytes, encodeUtf8, equalBytes, fromHex, toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { decode, encode } from '../../packages/engine/src/bytes/cbor.ts'
import { limits } from '../../packages/engine/src/bytes/limits.ts'
import { type Code, isRefusal } from '../../packages/engine/src/bytes/refusal.ts'
import type { Head } from '../../packages/engine/src/graph/commits.ts'
import { fingerprint } from '../../packages/engine/src/sync/fingerprint.ts'
import type { Held } from '../../packages/engine/src/sync/held.ts'
import { decodeMessage, encodeMessage, type Message } from '../../packages/engine/src/sync/message.ts'
import type { Effect, Event, Known, Meeting, Session } from '../../packages/engine/src/sync/session.ts'
import { start, step } from '../../packages/engine/src/sync/step.ts'

export const hash = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())
export const hashText = (text: string) => toHex(hash(encodeUtf8(text)))

/** mulberry32. */
export const randomFrom = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
}

export interface Commit {
  readonly id: string
  readonly chain: string
  readonly seq: number
  readonly previous: string | undefined
  readonly parents: readonly string[]
  readonly size: number
}

/** Every commit there is, by id: what travels is the id, padded to the commit's size where that matters. */
export const universe = new Map<string, Commit>()

export const chainOf = (name: string) => hashText(name) + hashText(`${name} incarnation`).slice(0, 16)

export const commitAfter = (
  chain: string,
  previous: Commit | undefined,
  parents: readonly string[] = [],
  branch = '',
  size = 300,
): Commit => {
  const seq = previous ? previous.seq + 1 : 0
  const id = hashText([chain, seq, previous?.id, branch, ...parents].join())
  const commit = { id, chain, seq, previous: previous?.id, parents, size }
  universe.set(id, commit)
  return commit
}

export class Store implements Held {
  readonly order: string[] = []
  readonly place = new Map<string, number>()
  readonly tips = new Map<string, Head[]>()
  readonly log: Uint8Array[] = []
  pool: Commit[] = []
  /** Of chains whose beginning was dropped, up to where. */
  readonly floors = new Map<string, number>()
  /** What was dropped, whether it is known by id or not. */
  readonly gone = new Set<string>()
  epoch = 0
  /** Answers asked of the store, as a measure of work. */
  walked = 0

  heads = () => [...this.tips.values()].flat()
  headsOf = (chain: string) => this.tips.get(chain) ?? []
  count = () => this.order.length
  has = (id: string) => this.place.has(id)
  previous = (id: string) => {
    this.walked++
    return this.isDropped(id) ? undefined : universe.get(id)?.previous
  }
  floorOf = (chain: string) => this.floors.get(chain) ?? -1
  isDropped = (id: string) => this.gone.has(id)
  builtOn = (id: string) => {
    const commit = universe.get(id)
    if (commit === undefined || this.isDropped(id)) throw new Error('a look into what is not here')
    return commit.previous === undefined ? commit.parents : [commit.previous, ...commit.parents]
  }
  vouchers = (_id: string): readonly string[] => []
  arrivalIndex = (id: string) => this.place.get(id) ?? -1
  arrival = (from: number, limit: number) => this.order.slice(from, from + limit)
  size = (id: string) => universe.get(id)?.size ?? 0
  fingerprint = () => fingerprint(this.heads(), hash)
  digest = (chain: string): readonly [number, number] => [
    Number.parseInt(chain.slice(0, 8), 16),
    Number.parseInt(chain.slice(64, 72), 16),
  ]
  placeOf = (id: string) => (this.has(id) ? universe.get(id) : undefined)
  prefixHash = (place: number) =>
    place > this.order.length ? undefined : hash(encodeUtf8(this.order.slice(0, place).join())).slice(0, 4)
  epochAfter = (epoch: number) => (this.epoch > epoch ? 0 : undefined)
  logHash = (n: number) => (this.log[n] ? toHex(hash(this.log[n])) : undefined)
  logPosition = () => {
    const n = this.log.length - 1
    const last = this.logHash(n)
    return last === undefined ? undefined : { epoch: this.epoch, n, hash: last }
  }
  entriesFrom = (n: number) => this.log.slice(n)

  /** What became held, what was dropped from a full pool never. */
  admit(commits: readonly Commit[]): string[] {
    const admitted: string[] = []
    const isNew = (commit: Commit) =>
      !this.has(commit.id) && !this.pool.includes(commit) && commit.seq > this.floorOf(commit.chain)
    this.pool.push(...commits.filter(isNew))
    const isHere = (id: string | undefined) => id === undefined || this.has(id) || this.gone.has(id)
    for (let again = true; again; ) {
      again = false
      this.pool = this.pool.filter((commit) => {
        if (![commit.previous, ...commit.parents].every(isHere)) return true
        again = true
        this.place.set(commit.id, this.order.length)
        this.order.push(commit.id)
        const tips = this.headsOf(commit.chain).filter((tip) => tip.id !== commit.previous)
        this.tips.set(commit.chain, [...tips, { chain: commit.chain, seq: commit.seq, id: commit.id }])
        admitted.push(commit.id)
        return false
      })
    }
    return admitted
  }

  /**
   * Drops the beginnings of chains up to the given seqs. Of what was dropped, tips and whatever something that is left follows in its chain are known by id, and
   * what `named` says; they stand at the beginning of the order.
   */
  drop(floors: ReadonlyMap<string, number>, named: (id: string) => boolean = () => true): void {
    for (const [chain, floor] of floors) this.floors.set(chain, Math.max(floor, this.floorOf(chain)))
    const isWhole = (id: string) => {
      const commit = universe.get(id)
      return commit !== undefined && commit.seq > this.floorOf(commit.chain)
    }
    const whole = this.order.filter(isWhole)
    for (const id of this.order) if (!isWhole(id)) this.gone.add(id)
    const parents = new Set(whole.flatMap((id) => universe.get(id)?.parents ?? []))
    const kept = new Set([
      ...this.heads().map(({ id }) => id),
      ...whole.flatMap((id) => universe.get(id)?.previous ?? []),
      ...[...parents].filter(named),
    ])
    const known = this.order.filter((id) => this.gone.has(id) && kept.has(id))
    this.order.splice(0, this.order.length, ...known, ...whole)
    this.place.clear()
    for (const [index, id] of this.order.entries()) this.place.set(id, index)
  }
}

export const salt = new Uint8Array(16).fill(7)

export class Side {
  session: Session
  readonly store: Store
  readonly inbox: Uint8Array[] = []
  jobs: (readonly Commit[])[] = []
  levels = 0
  level = false
  rests: (readonly string[])[] = []
  offences: Extract<Effect, { kind: 'offence' }>[] = []
  refusedByThem: Code[] = []
  wakes: number[] = []
  sent = 0
  disk: Code | undefined
  /** Why the pipeline does not take a commit. */
  refuses: (commit: Commit) => Code | undefined = () => undefined
  received: string[] = []

  constructor(leads: boolean, store: Store, base: boolean) {
    this.session = start(leads, salt, base)
    this.store = store
  }
}

export const payload = (commit: Commit) =>
  concatBytes(fromHex(commit.id), new Uint8Array(Math.max(0, commit.size - 32)))

/** Two sides, a channel that keeps order, pipelines that take their time, and virtual time. */
export class Pair {
  now = 1_000
  bytes = 0
  messages = 0
  filters = 0
  restedAt = 0
  lines: string[] = []
  /** What the leader remembers of an earlier meeting, and what it learns. */
  known: Known | undefined
  moved = 1_000
  readonly sides: readonly [Side, Side]
  readonly random: () => number
  /** Changes a message on its way; null loses it. */
  onWire: (message: Message, from: number) => readonly Message[] = (message) => [message]
  /** Tells what a side's pipeline admitted. */
  onAdmitted: (at: number, ids: readonly string[]) => void = (at, ids) =>
    this.give(at, { kind: 'admitted', ids, origin: 'peer' })
  /** The sessions of the two sides, as far as they are told. */
  sessions: readonly (string | undefined)[] = []
  steps = 0

  constructor(first: Store, second: Store, seed: number, base = true) {
    this.sides = [new Side(true, first, base), new Side(false, second, base)]
    this.random = randomFrom(seed)
  }

  open(): void {
    const meetings = this.sides.map(
      (_, at): Meeting => ({
        log: this.sides[at === 0 ? 1 : 0].store.logPosition(),
        moved: this.moved,
        known: at === 0 ? this.known : undefined,
        session: this.sessions[1 - at],
      }),
    )
    for (const [at, meeting] of meetings.entries()) this.give(at, { kind: 'open', ...meeting })
  }

  give(at: number, event: Event): void {
    const side = this.sides[at === 0 ? 0 : 1]
    const other = this.sides[at === 0 ? 1 : 0]
    const random = (length: number) => Uint8Array.from({ length }, () => Math.floor(this.random() * 256))
    const { session, effects } = step(side.session, event, side.store, { now: this.now, random, hash })
    side.session = session
    for (const effect of effects) {
      switch (effect.kind) {
        case 'send':
          this.transmit(at, effect.message)
          break
        case 'push': {
          const commits = effect.ids.map((id) => {
            const commit = universe.get(id)
            if (!commit || !side.store.has(id)) throw new Error('a push of what is not held')
            if (side.store.gone.has(id)) throw new Error('a push of what was dropped')
            return payload(commit)
          })
          for (const [i, id] of effect.ids.entries()) {
            const commit = universe.get(id)
            const later = effect.ids.slice(i + 1)
            if ([commit?.previous, ...(commit?.parents ?? [])].some((parent) => parent && later.includes(parent))) {
              throw new Error('a push with a child before its parent')
            }
          }
          side.sent += commits.length
          this.transmit(at, { ...effect, commits, certificates: [] })
          break
        }
        case 'admit':
          side.jobs.push(
            effect.commits.map((bytes) => {
              const commit = universe.get(toHex(bytes.subarray(0, 32)))
              if (!commit) throw new Error('an unknown commit')
              return commit
            }),
          )
          break
        case 'deliver':
          for (const [i, entry] of effect.entries.entries())
            if (effect.from + i === side.store.log.length) side.store.log.push(entry)
          this.give(at, { kind: 'entries' })
          break
        case 'wake':
          side.wakes.push(this.now + effect.after)
          break
        case 'known':
          this.known = effect.known
          break
        case 'level':
          side.levels++
          side.level = true
          break
        case 'rest':
          side.rests.push(effect.missing)
          this.restedAt = this.now
          break
        case 'refused':
          side.refusedByThem.push(effect.code)
          break
        case 'offence':
          side.offences.push(effect)
      }
      other.level &&= true
    }
  }

  transmit(from: number, message: Message): void {
    const to = this.sides[from === 0 ? 1 : 0]
    for (const altered of this.onWire(message, from)) {
      const bytes = encode(encodeMessage(altered))
      if (bytes.length > limits.frameBytes) throw new Error(`a message of ${bytes.length} bytes`)
      this.messages++
      if (altered.kind === 'filter') this.filters++
      this.bytes +=
        bytes.length -
        (altered.kind === 'push' ? altered.commits.reduce((sum, commit) => sum + commit.length + 3, 0) : 0)
      this.lines.push(`${from === 0 ? '>' : '<'} ${inWords(altered)}`)
      to.inbox.push(bytes)
    }
  }

  receive(at: number): void {
    const side = this.sides[at === 0 ? 0 : 1]
    const bytes = side.inbox.shift()
    if (!bytes) return
    const plain = decode(bytes)
    if (isRefusal(plain)) throw new Error(`${plain.code} ${plain.about}`)
    const message = decodeMessage(plain)
    if (isRefusal(message)) throw new Error(`${message.code} ${message.about}`)
    if (message.kind === 'packed') throw new Error('the machine does not pack')
    this.give(at, { kind: 'message', message })
  }

  work(at: number): void {
    const side = this.sides[at === 0 ? 0 : 1]
    const commits = side.jobs.shift()
    if (!commits) return
    const ids = commits.map((commit) => commit.id)
    side.received.push(...ids)
    if (side.disk) this.give(at, { kind: 'refused', code: side.disk, ids })
    else {
      const refused = new Map<Code, Commit[]>()
      const taken = commits.filter((commit) => {
        const code = side.refuses(commit)
        if (code !== undefined) refused.set(code, [...(refused.get(code) ?? []), commit])
        return code === undefined
      })
      for (const [code, those] of refused)
        this.give(at, { kind: 'refused', code, ids: those.map((commit) => commit.id) })
      const admitted = side.store.admit(taken)
      if (admitted.length > 0) this.onAdmitted(at, admitted)
    }
    this.give(at, { kind: 'settled', ids, waiting: commits.some((commit) => side.store.pool.includes(commit)) })
  }

  /** A commit made on one side. */
  write(at: number, commit: Commit, origin: 'local' | 'other' = 'local'): void {
    const admitted = this.sides[at === 0 ? 0 : 1].store.admit([commit])
    if (admitted.length !== 1) throw new Error('a commit without its parents')
    this.give(at, { kind: 'admitted', ids: admitted, origin })
  }

  /** One thing that can happen now; false when only time can help. Without `shuffle` in a fixed order. */
  once(shuffle: boolean): boolean {
    const can = [0, 1].flatMap((at) => {
      const side = this.sides[at === 0 ? 0 : 1]
      return [
        ...(side.jobs.length ? [() => this.work(at)] : []),
        ...(side.inbox.length ? [() => this.receive(at)] : []),
      ]
    })
    can[shuffle ? Math.floor(this.random() * can.length) : 0]?.()
    this.steps++
    return can.length > 0
  }

  /** Until nothing is under way and no timer is left, or for so long. */
  run(shuffle = true, most = 20_000, until = Number.POSITIVE_INFINITY): void {
    for (let i = 0; i < most; i++) {
      if (this.once(shuffle)) continue
      const { due } = this
      if (due > until || due === Number.POSITIVE_INFINITY) return
      this.wake(due)
    }
    throw new Error(`no end after ${most} steps: ${this.lines.slice(-20).join('\n')}`)
  }

  /** When the next timer is due; infinity without one. */
  get due(): number {
    return Math.min(...this.sides.flatMap((side) => side.wakes))
  }

  wake(due: number): void {
    this.now = Math.max(this.now, due)
    for (const [at, side] of this.sides.entries()) {
      if (!side.wakes.includes(due)) continue
      side.wakes = side.wakes.filter((wake) => wake !== due)
      this.give(at, { kind: 'wake' })
    }
  }

  get equal(): boolean {
    const [a, b] = this.sides
    return equalBytes(a.store.fingerprint(), b.store.fingerprint())
  }

  get phases(): string {
    return this.sides.map((side) => side.session.phase).join()
  }
}

export const short = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`

export const inWords = (message: Message): string => {
  switch (message.kind) {
    case 'hello': {
      const { sketch } = message
      const said = sketch === undefined ? '' : 'place' in sketch ? `, from ${sketch.place}` : `, ${sketch.length} sums`
      return `hello${message.empty ? ': empty' : ''}${said}`
    }
    case 'entries':
      return `entries from ${message.from}: ${message.entries.length}`
    case 'filter':
      return `filter ${message.round}: ${short(message.filter.count, 'tip')}, ${message.filter.bits.length} B`
    case 'heads':
      return `heads ${message.round}: seq ${message.heads.map((head) => head.seq).join(' ')}${message.more ? ' ...' : ''}`
    case 'want':
      return `want ${message.round}: ${message.wants.map((want) => `${want.index} after ${want.held.map((place) => place.seq).join(' ') || 'nothing'}`).join(', ')}${message.more ? ' ...' : ''}`
    case 'push':
      return `push ${message.round}: ${short(message.commits.length, 'commit')}${message.unknown.length ? `, unknown ${message.unknown.join(' ')}` : ''}${message.last ? ', last' : ''}`
    case 'fingerprint':
      return `fingerprint ${message.round}${message.fingerprint ? '' : ': the same'}${message.moved ? ', moved' : ''}${message.cursor ? `, at ${message.cursor.place}` : ''}`
    case 'refused':
      return `refused: ${message.code}, ${short(message.ids.length, 'commit')}`
    case 'rest':
      return `rest ${message.round}`
    case 'sums':
      return `sums ${message.round}: ${message.sums.length}`
    case 'vector':
      return `vector ${message.round}: ${message.bits.length} B`
    case 'moved':
      return `moved ${message.round}: ${message.behind.map(({ held }) => `behind at ${held}`).join(', ') || 'behind nowhere'}${message.rest.length ? `, ${short(message.rest.length, 'chain')} unknown` : ''}`
  }
}

/** A chain of so many commits in every one of the stores. */
export const grow = (
  stores: readonly Store[],
  name: string,
  length: number,
  from?: Commit,
  branch = '',
  size = 300,
): Commit | undefined => {
  let last = from
  for (let i = 0; i < length; i++) {
    last = commitAfter(from?.chain ?? chainOf(name), last, [], branch, size)
    for (const store of stores) store.admit([last])
  }
  return last
}

/**
 * Two stores with shared history, chains that moved on one side or both, forks, chains that one side lacks, and parents
 * across chains.
 */
export const divergent = (seed: number): [Store, Store] => {
  const random = randomFrom(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  const a = new Store()
  const b = new Store()
  const stores = [a, b] as const
  const extend = (store: Store, chain: string, branch: string) => {
    const tips = store.headsOf(chain)
    const tip = tips[below(tips.length)]
    const other = below(3) === 0 ? universe.get(store.order[below(store.order.length)] ?? '') : undefined
    const parents = other && other.chain !== chain ? [other.id] : []
    const commit = commitAfter(chain, tip && universe.get(tip.id), parents, branch)
    store.admit([commit])
    return commit
  }
  const chains = Array.from({ length: 1 + below(200) }, (_, i) => chainOf(`seed ${seed} chain ${i}`))
  for (const chain of chains) {
    const shared = below(8)
    for (let i = 0; i < shared; i++) b.admit([extend(a, chain, '')])
  }
  for (const chain of chains) {
    const kind = below(12)
    if (kind < 2) for (let i = below(30); i >= 0; i--) extend(stores[kind] ?? a, chain, '')
    // A copied key: both sides go on from their own, and sometimes one side has forked by itself.
    else if (kind === 2) {
      for (let i = below(5); i >= 0; i--) extend(a, chain, `a${seed}`)
      for (let i = below(5); i >= 0; i--) extend(b, chain, `b${seed}`)
    } else if (kind === 3 && a.headsOf(chain).length === 1) {
      const [tip] = a.headsOf(chain)
      const first = tip && universe.get(universe.get(tip.id)?.previous ?? '')
      a.admit([commitAfter(chain, first, [], `c${seed}`)])
      extend(a, chain, `c${seed}`)
    }
  }
  return [a, b]
}

export const talk = (first: Store, second: Store, seed = 1, base = true) => {
  const pair = new Pair(first, second, seed, base)
  pair.open()
  pair.run(false)
  return pair
}
