/**
 * Live pushes of one repository to many channels, packed and encoded once for all of them. One stream of packs is kept, and a channel that
 * was sent all of it so far is sent its next messages as they are. Whoever brought a commit need not have it: their channel falls behind,
 * and is sent what it missed with the next message that holds something new to it, if that is little. A channel that was sent another
 * pack, or fell too far behind, has packs of its own until the stream begins anew. It does when that is cheaper, and then with a pack that
 * needs none of those before it, so that every channel can join. On the wire nothing tells these packs from others.
 */
import { encode } from '../bytes/cbor.ts'
import type { Commit } from '../commit/commit.ts'
import type { PackContext } from '../commit/pack.ts'
import { PackWriter } from '../commit/packwriter.ts'
import { withoutNeedless } from '../commit/run.ts'
import type { Commits } from '../graph/commits.ts'
import { inFrames } from '../sync/answer.ts'
import { encodeMessage } from '../sync/message.ts'
import type { HeldCommits } from './heldcommits.ts'

/** Below so many channels whoever writes would be sent too much of their own. */
export const fewestChannels = 8
/** Messages kept for channels that fell behind, and the bytes of their records. */
const keptMessages = 64
const keptBytes = 65_536
/** What one push may bring to a channel that it has, bytes of records. */
const needlessBytes = 2_048

interface Shared {
  readonly commits: readonly Commit[]
  /** Of its records. */
  readonly bytes: number
  readonly sessions: ReadonlySet<string>
  readonly chainOf: (id: string) => string | undefined
  /** A message of `sync`; undefined until it is asked for. */
  encoded: Uint8Array | undefined
}

/** What a channel is to be sent, and where it stands in the stream then. */
export interface Share {
  readonly messages: readonly Uint8Array[]
  /** Whose commits are in it. */
  readonly sessions: readonly string[]
  readonly place: number
}

export class Broadcast {
  readonly #writer: PackWriter
  /** The first of them is number `#first` of the stream. */
  #messages: Shared[] = []
  #first = 0
  /** Message that holds a commit, by id. */
  readonly #places = new Map<string, number>()
  #bytes = 0
  /** Whether the first of the messages kept needs none before it. */
  #beginsAnew = true
  /** Channels that were sent the last batch, and pushes since the stream began that it could not be used for. */
  #sharing = 0
  #missed = 0
  #isPushed = true
  /** What was offered last, from where on it stands in the stream, and what that is to a channel that was there. */
  #offered: { readonly ids: readonly string[]; readonly from: number; share: Share | undefined } | undefined

  constructor(context: PackContext) {
    this.#writer = new PackWriter(context)
  }

  /** Nobody is sent the same as others any more. */
  stop(): void {
    if (this.#messages.length > 0) this.#beginAnew()
    this.#isPushed = true
  }

  /** Commits that are about to be pushed to many, in order. */
  offer(
    ids: readonly string[],
    held: Pick<HeldCommits, 'vouchers' | 'size' | 'linearChainOf'>,
    commits: Pick<Commits, 'get'>,
  ): void {
    if (this.#offered?.ids === ids) return
    // What was offered and not pushed was not stored, and nobody may be sent it.
    if (!this.#isPushed || (this.#messages.length > 0 && this.#missed > 2 * this.#sharing)) this.#beginAnew()
    this.#isPushed = false
    this.#sharing = 0
    this.#offered = { ids, from: this.#first + this.#messages.length, share: undefined }
    for (const run of inFrames(ids, held)) {
      const shared = run.flatMap((id) => commits.get(id) ?? [])
      const bytes = shared.reduce((sum, commit) => sum + commit.bytes.length, 0)
      for (const { id } of shared) this.#places.set(id, this.#first + this.#messages.length)
      this.#messages.push({
        commits: shared,
        bytes,
        sessions: new Set(shared.map(({ session }) => session)),
        chainOf: (id) => held.linearChainOf(id),
        encoded: undefined,
      })
      this.#bytes += bytes
    }
  }

  /** Packs what was offered ahead of its time. */
  prepare(): void {
    if (this.#messages.length > 0) this.#encoded(this.#messages.length - 1)
  }

  /** They were pushed to whoever takes them now. */
  pushed(): void {
    this.#isPushed = true
    while (this.#messages.length > keptMessages || this.#bytes > keptBytes) {
      const oldest = this.#messages.shift()
      if (oldest === undefined) return
      this.#offered = undefined
      // Those that stay build on it, and nobody was sent it.
      if (oldest.encoded === undefined) return this.#beginAnew()
      for (const { id } of oldest.commits) this.#places.delete(id)
      this.#bytes -= oldest.bytes
      this.#first++
      this.#beginsAnew = false
    }
  }

  #beginAnew(): void {
    this.#writer.reset()
    this.#first += this.#messages.length
    this.#messages = []
    this.#offered = undefined
    this.#places.clear()
    this.#bytes = 0
    this.#beginsAnew = true
    this.#missed = 0
  }

  /**
   * What brings these commits to a channel at that place of the stream, or at none: nothing where it was sent them already, undefined
   * where the stream cannot.
   */
  share(ids: readonly string[], place: number | undefined): Share | undefined {
    const offered = this.#offered
    if (offered?.ids !== ids || offered.from !== place) return this.#find(ids, place)
    if (offered.share === undefined) offered.share = this.#find(ids, place)
    else this.#sharing++
    return offered.share
  }

  #find(ids: readonly string[], place: number | undefined): Share | undefined {
    const needed = new Set<number>()
    for (const id of ids) {
      const at = this.#places.get(id)
      if (at === undefined) return undefined
      needed.add(at)
    }
    const isIn = place !== undefined && place >= this.#first
    if (!isIn && !this.#beginsAnew) return this.#cannot()
    const from = isIn ? place : this.#first
    const to = Math.max(...needed)
    let needless = 0
    for (let at = from; at < to; at++) if (!needed.has(at)) needless += this.#messages[at - this.#first]?.bytes ?? 0
    if (needless > needlessBytes) return this.#cannot()
    const messages: Uint8Array[] = []
    const sessions = new Set<string>()
    for (let at = from; at <= to; at++) {
      const shared = this.#messages[at - this.#first]
      if (shared === undefined) return this.#cannot()
      messages.push(this.#encoded(at - this.#first))
      for (const session of shared.sessions) sessions.add(session)
    }
    this.#sharing++
    return { messages, sessions: [...sessions], place: Math.max(from, to + 1) }
  }

  #cannot(): undefined {
    this.#missed++
    return undefined
  }

  /** The message at that index, which is packed after all before it. */
  #encoded(index: number): Uint8Array {
    for (let at = 0; at < index; at++) if (this.#messages[at]?.encoded === undefined) this.#encode(at)
    return this.#messages[index]?.encoded ?? this.#encode(index)
  }

  #encode(index: number): Uint8Array {
    const shared = this.#messages[index]
    if (shared === undefined) throw new RangeError('a message that is not kept')
    const pack = this.#writer.pack(withoutNeedless(shared.commits, shared.chainOf))
    const push = { kind: 'packed', round: 0, last: false, unknown: [], pack, certificates: [] } as const
    shared.encoded = encode(encodeMessage(push))
    return shared.encoded
  }
}
