/**
 * The pure machine of two stores over a line that keeps order, in virtual time, until both are silent. What is counted is what would be
 * given to `Channel.send`: bytes of the messages without the commits in them, and apart from them the frames around the messages.
 *
 * Messages are counted by depth: one more than the deepest that its sender had heard. Both sides know what to send when every push of
 * commits that the other lacks has nothing left to hear; that is one less than the deepest such push.
 */

import { equalBytes, toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { encode } from '../../packages/engine/src/bytes/cbor.ts'
import { encodeFrame } from '../../packages/engine/src/replica/wire.ts'
import { encodeMessage, type Message } from '../../packages/engine/src/sync/message.ts'
import type { Event, Known, Session } from '../../packages/engine/src/sync/session.ts'
import { start, step } from '../../packages/engine/src/sync/step.ts'
import { type Stream, stream } from '../sim/random.ts'
import type { Store } from './reconcile-store.ts'
import { sha256 } from './sample.ts'

export interface Talk {
  /** Without payload and frames, until both were silent; and of those, until both knew what to send. */
  readonly bytes: number
  readonly bytesUntilKnown: number
  readonly framing: number
  readonly payload: number
  /** One-way messages until both knew, and in all. */
  readonly messages: number
  readonly allMessages: number
  readonly level: boolean
  /** What the leader remembers for the next meeting. */
  readonly known: Known | undefined
}

export interface Meeting {
  readonly seed: string
  /** Chains that differ at most, as far as checkpoints tell. */
  readonly moved: number
  /** From an earlier meeting of the two, with the same one leading. */
  readonly known?: Known | undefined
  /** The base protocol: filters alone. */
  readonly base?: boolean
}

interface Sent {
  readonly depth: number
  readonly bytes: number
}

interface Side {
  readonly store: Store
  session: Session
  depth: number
  frames: number
  readonly inbox: { readonly message: Message; readonly depth: number }[]
  /** Commits that came and are not admitted yet. */
  readonly jobs: (readonly Uint8Array[])[]
  readonly wakes: number[]
  isLevel: boolean
  known: Known | undefined
}

const tag = 1
const saltBytes = 16
const mostSteps = 100_000

class Conversation {
  readonly #sides: readonly [Side, Side]
  readonly #random: Stream
  readonly #moved: number
  readonly #sent: Sent[] = []
  #now = 1_000
  #framing = 0
  #payload = 0
  /** Depth of the deepest push of what the other lacked. */
  #deepestPush = 2

  constructor(leader: Store, follower: Store, meeting: Meeting) {
    this.#random = stream(meeting.seed, 'conversation')
    const salt = this.#random.bytes(saltBytes)
    const side = (store: Store, leads: boolean): Side => ({
      store,
      session: start(leads, salt, meeting.base === true),
      depth: 0,
      frames: 0,
      inbox: [],
      jobs: [],
      wakes: [],
      isLevel: false,
      known: leads ? meeting.known : undefined,
    })
    this.#sides = [side(leader, true), side(follower, false)]
    this.#moved = meeting.moved
  }

  run(): Talk {
    for (const at of [0, 1] as const) {
      const { known } = this.#sides[at]
      this.#give(at, { kind: 'open', log: undefined, moved: this.#moved, known, session: undefined })
    }
    for (let steps = 0; this.#once() || this.#wakeNext(); steps++)
      if (steps === mostSteps) throw new Error('two machines do not come to an end')
    const [leader, follower] = this.#sides
    const known = this.#deepestPush - 1
    const sum = (sent: readonly Sent[]): number => sent.reduce((total, { bytes }) => total + bytes, 0)
    return {
      bytes: sum(this.#sent),
      bytesUntilKnown: sum(this.#sent.filter(({ depth }) => depth <= known)),
      framing: this.#framing,
      payload: this.#payload,
      messages: known,
      allMessages: this.#sent.length,
      level: leader.isLevel && follower.isLevel && equalBytes(leader.store.fingerprint(), follower.store.fingerprint()),
      known: leader.known,
    }
  }

  #once(): boolean {
    for (const at of [0, 1] as const) {
      const side = this.#sides[at]
      const job = side.jobs.shift()
      const next = job === undefined ? side.inbox.shift() : undefined
      if (job !== undefined) this.#admit(at, job)
      if (next !== undefined) {
        side.depth = Math.max(side.depth, next.depth)
        this.#give(at, { kind: 'message', message: next.message })
      }
      if (job !== undefined || next !== undefined) return true
    }
    return false
  }

  #wakeNext(): boolean {
    const due = Math.min(...this.#sides.flatMap(({ wakes }) => wakes))
    if (due === Number.POSITIVE_INFINITY) return false
    this.#now = Math.max(this.#now, due)
    for (const at of [0, 1] as const) {
      const { wakes } = this.#sides[at]
      const place = wakes.indexOf(due)
      if (place < 0) continue
      wakes.splice(place, 1)
      this.#give(at, { kind: 'wake' })
    }
    return true
  }

  #admit(at: 0 | 1, commits: readonly Uint8Array[]): void {
    const ids = commits.map(toHex)
    const admitted = this.#sides[at].store.admit(ids)
    if (admitted.length > 0) this.#give(at, { kind: 'admitted', ids: admitted, origin: 'peer' })
    this.#give(at, { kind: 'settled', ids, waiting: false })
  }

  #give(at: 0 | 1, event: Event): void {
    const side = this.#sides[at]
    const surroundings = { now: this.#now, random: (length: number) => this.#random.bytes(length), hash: sha256 }
    const { session, effects } = step(side.session, event, side.store, surroundings)
    side.session = session
    for (const effect of effects) {
      switch (effect.kind) {
        case 'send':
          this.#send(at, effect.message)
          break
        case 'push': {
          const { kind, round, last, unknown, ids } = effect
          const commits = ids.map((id) => side.store.bytes(id))
          this.#send(at, { kind, round, last, unknown, commits, certificates: [] })
          break
        }
        case 'admit':
          side.jobs.push(effect.commits)
          break
        case 'wake':
          side.wakes.push(this.#now + effect.after)
          break
        case 'level':
          side.isLevel = true
          break
        case 'known':
          side.known = effect.known
          break
        case 'offence':
        case 'refused':
          throw new Error(`${effect.kind}: ${effect.code}`)
      }
    }
  }

  #send(at: 0 | 1, message: Message): void {
    const side = this.#sides[at]
    const other = this.#sides[at === 0 ? 1 : 0]
    const depth = side.depth + 1
    const plain = encodeMessage(message)
    const whole = encode(plain).length
    let bytes = whole
    let envelope = 0
    if (message.kind === 'push') {
      bytes = encode(encodeMessage({ ...message, commits: [] })).length
      // What is around payload is framing: there is as much of it as payload wants.
      if (message.commits.length > 0) envelope = bytes
      if (message.commits.some((commit) => !other.store.has(toHex(commit))))
        this.#deepestPush = Math.max(this.#deepestPush, depth)
    }
    this.#payload += whole - bytes
    bytes -= envelope
    this.#framing += envelope + encodeFrame(side.frames++, { kind: 'sync', tag, message: plain }).length - whole
    this.#sent.push({ depth, bytes })
    other.inbox.push({ message, depth })
  }
}

/** Lets the two stores reconcile, and counts. `leader` dialled. */
export const converse = (leader: Store, follower: Store, meeting: Meeting): Talk =>
  new Conversation(leader, follower, meeting).run()
