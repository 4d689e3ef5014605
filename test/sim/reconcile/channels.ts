/** Replicas and the channels between them under one clock: each channel is a pair of machines, and what one brings the others hear of. */
import { equalBytes } from '../../../packages/engine/src/bytes/bytes.ts'
import type { Message } from '../../../packages/engine/src/sync/message.ts'
import type { Known } from '../../../packages/engine/src/sync/session.ts'
import { start } from '../../../packages/engine/src/sync/step.ts'
import { type Commit, inWords, Pair } from '../../sync/pair.ts'
import type { Stream } from '../random.ts'
import type { Replica } from './replica.ts'

/** What goes over a link instead of what was said. */
export type Tamper = (message: Message, from: 0 | 1, link: Link) => readonly Message[]

export interface Said {
  readonly from: number
  readonly message: Message
}

/** Two replicas that meet again and again; the first dials. */
export class Link {
  readonly ends: readonly [Replica, Replica]
  /** Which side speaks filters alone. */
  readonly filtersAlone: readonly [boolean, boolean]
  moved = 1_000
  salt: Uint8Array = new Uint8Array(16)
  pair: Pair | undefined
  said: Said[] = []
  tamper: Tamper | undefined
  /** What the dialling side remembers, and how many commits it held when it wrote that down. */
  known: { readonly known: Known; readonly at: number } | undefined

  constructor(ends: readonly [Replica, Replica], filtersAlone: readonly [boolean, boolean]) {
    this.ends = ends
    this.filtersAlone = filtersAlone
  }

  get name(): string {
    return `${this.ends[0].name}>${this.ends[1].name}`
  }

  get equal(): boolean {
    return equalBytes(this.ends[0].fingerprint(), this.ends[1].fingerprint())
  }
}

export class Channels {
  readonly links: readonly Link[]
  readonly lines: string[] = []
  readonly #random: Stream
  now = 1_000
  steps = 0

  constructor(links: readonly Link[], random: Stream) {
    this.links = links
    this.#random = random
  }

  get open(): readonly Link[] {
    return this.links.filter(({ pair }) => pair !== undefined)
  }

  connect(link: Link): void {
    if (link.pair !== undefined) throw new Error('connected twice')
    const [first, second] = link.ends
    const pair = new Pair(first, second, this.#random.uint32())
    link.pair = pair
    link.said = []
    link.salt = this.#random.bytes(16)
    for (const [at, side] of pair.sides.entries()) {
      side.session = start(at === 0, link.salt, link.filtersAlone[at])
      side.refuses = (commit) =>
        side.store.has(commit.id) || side.store.pool.includes(commit) ? undefined : link.ends[at]?.refuses(commit)
    }
    pair.now = this.now
    pair.moved = link.moved
    pair.sessions = [first.session, second.session]
    pair.known = link.known?.known
    pair.onAdmitted = (at, ids) => this.#tell(link.ends[at === 0 ? 0 : 1], ids, 'other', link)
    pair.onWire = (message, from) => {
      const side = from === 0 ? 0 : 1
      const heard = link.tamper?.(message, side, link) ?? [message]
      for (const one of heard) {
        link.said.push({ from, message: one })
        this.lines.push(`${this.now} ${link.name} ${from === 0 ? '>' : '<'} ${inWords(one)}`)
      }
      return heard
    }
    this.lines.push(`${this.now} ${link.name} opens`)
    pair.open()
    this.#remember(link)
  }

  /** The channel dies with what is on it; what arrived is still stored, or is lost with it. */
  drop(link: Link, finishes: boolean): void {
    const { pair } = link
    if (pair === undefined) return
    for (const at of [0, 1]) pair.give(at, { kind: 'close' })
    if (finishes) for (const [at, { jobs }] of pair.sides.entries()) while (jobs.length > 0) pair.work(at)
    link.pair = undefined
    this.lines.push(`${this.now} ${link.name} dies`)
  }

  write(replica: Replica, commit: Commit): void {
    this.#tell(replica, [commit.id], 'local')
  }

  /** Everybody at that replica hears of it; where a channel brought it, that one as such. */
  #tell(replica: Replica, ids: readonly string[], origin: 'local' | 'other', by?: Link): void {
    for (const link of this.open) {
      for (const [at, end] of link.ends.entries()) {
        if (end !== replica) continue
        const brought = new Set(link === by ? link.pair?.sides[at === 0 ? 0 : 1].received : [])
        const own = ids.filter((id) => brought.has(id))
        const others = ids.filter((id) => !brought.has(id))
        if (own.length > 0) link.pair?.give(at, { kind: 'admitted', ids: own, origin: 'peer' })
        if (others.length > 0) link.pair?.give(at, { kind: 'admitted', ids: others, origin })
      }
    }
  }

  /** One thing that can happen now on any channel. */
  once(): boolean {
    const busy = this.open.filter(({ pair }) => pair?.sides.some((side) => side.jobs.length + side.inbox.length > 0))
    if (busy.length === 0) return false
    const link = this.#random.pick(busy)
    link.pair?.once(true)
    this.#remember(link)
    this.steps++
    return true
  }

  #remember(link: Link): void {
    const known = link.pair?.known
    if (known !== undefined && known !== link.known?.known) link.known = { known, at: link.ends[0].count() }
  }

  get due(): number {
    return Math.min(...this.open.map(({ pair }) => pair?.due ?? Number.POSITIVE_INFINITY))
  }

  /** The next timer. */
  advance(): void {
    const { due } = this
    this.now = Math.max(this.now, due)
    for (const link of this.open) {
      if (link.pair === undefined) continue
      link.pair.now = this.now
      if (link.pair.due <= due) link.pair.wake(link.pair.due)
      this.#remember(link)
    }
  }

  /** Until nothing is under way and no timer is left before `until`; false when that does not come. */
  run(most: number, until = Number.POSITIVE_INFINITY, between: () => void = () => undefined): boolean {
    for (let left = most; left > 0; left--) {
      between()
      if (this.once()) continue
      if (this.due > until || this.due === Number.POSITIVE_INFINITY) return true
      this.advance()
    }
    return false
  }
}
