import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { decode } from '../bytes/cbor.ts'
import { isRefusal } from '../bytes/refusal.ts'
import { type Commit, composeCommit, sealCommit } from '../commit/commit.ts'
import { PackReader } from '../commit/packreader.ts'
import { decodeMessage } from '../sync/message.ts'
import { Broadcast, type Share } from './broadcast.ts'

const hash = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()
const name = (byte: number, length: number): string => byte.toString(16).padStart(2, '0').repeat(length)
const context = { network: name(1, 32), repository: '/board/b' }

/** The commits of one author, and a stream of them. */
class Stream {
  readonly broadcast = new Broadcast(context)
  readonly made: Commit[] = []
  readonly #byId = new Map<string, Commit>()
  readonly #held = {
    vouchers: () => [],
    size: (id: string) => this.#byId.get(id)?.bytes.length ?? 0,
    linearChainOf: (id: string) => this.#byId.get(id)?.chain,
  }

  #commit(): Commit {
    const seq = this.made.length
    const before = this.made.at(-1)?.id
    const header = {
      ...context,
      session: name(2, 32),
      incarnation: name(3, 8),
      seq,
      prev: before ?? null,
      clock: 256 * (seq + 1),
      policy: { root: { epoch: 0, n: 0, hash: name(4, 32) }, authority: null },
      atomic: false,
      extended: false,
    }
    const draft = {
      key: 'item',
      parents: before === undefined ? [] : [before],
      schema: { name: 'card', version: 1, hash: name(5, 32) },
      operations: [{ kind: 'assign', field: 'title', value: `title ${seq}` }],
      salt: new Uint8Array(12).fill(seq),
    } as const
    const commit = sealCommit(composeCommit(header, [draft], hash), new Uint8Array(64).fill(9))
    this.made.push(commit)
    this.#byId.set(commit.id, commit)
    return commit
  }

  /** So many more commits, in one message. Gives what each of these channels is sent, by its place in the stream. */
  push(count: number, places: readonly (number | undefined)[]): (Share | undefined)[] {
    const ids = Array.from({ length: count }, () => this.#commit().id)
    this.broadcast.offer(ids, this.#held, this.#byId)
    this.broadcast.prepare()
    const shares = places.map((place) => this.broadcast.share(ids, place))
    this.broadcast.pushed()
    return shares
  }
}

const newReader = () => new PackReader(context, hash, { commits: 10_000, bytes: 1e7 })

/** The ids in it, or why it cannot be read. */
const readBy = (reader: PackReader, share: Share | undefined): readonly string[] | string | undefined =>
  share?.messages.flatMap((bytes) => {
    const plain = decode(bytes)
    const message = isRefusal(plain) ? plain : decodeMessage(plain)
    if (isRefusal(message) || message.kind !== 'packed') throw new Error('not a pack')
    const records = reader.unpack(message.pack)
    return isRefusal(records) ? records.code : records.map(({ id }) => id)
  })

const idsOf = (commits: readonly Commit[]): string[] => commits.map(({ id }) => id)
/** Of so many the records are longer than what is kept, and their pack is shorter than what a writer packs into one stream. */
const tooMany = 330

test('[S8] whoever joins while the stream is whole is sent all of it, and goes on with the others', () => {
  const stream = new Stream()
  const [early, late] = [newReader(), newReader()]
  const [first] = stream.push(1, [undefined])
  expect(readBy(early, first)).toEqual(idsOf(stream.made))
  const [next, joined] = stream.push(1, [first?.place, undefined])
  expect(readBy(early, next)).toEqual(idsOf(stream.made.slice(1)))
  expect(readBy(late, joined)).toEqual(idsOf(stream.made))
  expect(joined?.place).toBe(next?.place)
})

test('[S8] whoever joins when its beginning is kept no more is sent a pack of their own, and nothing that stands on what they lack', () => {
  const stream = new Stream()
  const early = newReader()
  const [first] = stream.push(1, [undefined])
  const [many] = stream.push(tooMany, [first?.place])
  expect([readBy(early, first), readBy(early, many)].flat()).toEqual(idsOf(stream.made))
  const [next, joined] = stream.push(1, [many?.place, undefined])
  // It stands on packs before it: nobody else could read it.
  expect(readBy(newReader(), next)).not.toEqual(idsOf(stream.made.slice(-1)))
  expect(readBy(early, next)).toEqual(idsOf(stream.made.slice(-1)))
  expect(joined).toBeUndefined()
})

test('[S8] a stream that too few can use begins anew, and then everybody joins', () => {
  const stream = new Stream()
  const [first] = stream.push(1, [undefined])
  stream.push(tooMany, [first?.place])
  const late = Array.from({ length: 8 }, () => undefined)
  expect(stream.push(1, late)).toEqual(late)
  const [joined, ...others] = stream.push(1, late)
  expect(readBy(newReader(), joined)).toEqual(idsOf(stream.made.slice(-1)))
  for (const other of others) expect(other?.place).toBe(joined?.place)
})
