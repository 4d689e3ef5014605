/**
 * A few authors on a few items, good ones and one that knows the formats by heart: `good` gives the next honest commit, `poison` one that is
 * hashed and chained as it should be (or nearly) and holds what nobody should write.
 */
import { concatBytes, fromHex, toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { encode, type Plain } from '../../packages/engine/src/bytes/cbor.ts'
import { limits } from '../../packages/engine/src/bytes/limits.ts'
import {
  type Commit,
  clockTicks,
  composeCommit,
  type Draft,
  type Header,
  type SchemaName,
  sealCommit,
} from '../../packages/engine/src/commit/commit.ts'
import { type Operation, type Tag, tagOf } from '../../packages/engine/src/commit/operation.ts'
import type { MergedItem } from '../../packages/engine/src/merge/item.ts'
import { ropeOf } from '../../packages/engine/src/merge/state.ts'
import { boolean, type Scalar, set, string, text } from '../../packages/engine/src/schema/field.ts'
import { fieldNamed, type Schema, schema } from '../../packages/engine/src/schema/schema.ts'
import type { Stream } from '../sim/random.ts'
import { BareReplica, now, type Verdict } from './bare.ts'
import { mutateTree } from './mutate.ts'
import { changeHash, rehash } from './rehash.ts'
import { hash } from './samples.ts'
import { fittingOperations, Thing } from './thing.ts'

const Other = schema('other', 1, { title: string(), tags: set(boolean()), notes: text() })

const nameOf = ({ name, version, definition }: Schema): SchemaName => ({ name, version, hash: toHex(hash(definition)) })
const thing = nameOf(Thing)
const other = nameOf(Other)

export const schemas: ReadonlyMap<string, Schema> = new Map<string, Schema>([
  [thing.hash, Thing],
  [other.hash, Other],
])

const keys = ['card', '__proto__', 'constructor'] as const
const fieldNames = [...Thing.names]
const strangeNames = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'valueOf',
  'x',
  '\u0000',
  '\u202e',
  'ü'.repeat(64),
]
const strangeTexts = [
  '',
  '\u0000',
  '\u202e\u05d0\u2066',
  '\ufeff',
  '__proto__',
  '\u{1f9f5}\u{1f9f6}',
  'e\u0301',
  '\r\n\u2028',
  'x'.repeat(64),
]
const strangeScalars: readonly Scalar[] = [
  ...strangeTexts,
  'far too long for it',
  null,
  true,
  false,
  0,
  -1,
  1.5,
  8.64e15,
  8.64e15 + 2,
  Number.MAX_VALUE,
  Number.MIN_VALUE,
  4_294_967_296,
  'a0',
  'a00',
  'z'.repeat(limits.orderLength),
  'z'.repeat(limits.orderLength + 1),
  `${'0'.repeat(255)}1`,
]
const mostCount = 0xffff_ffff
const heavyShare = 0.004

type Poisons = Readonly<Record<string, () => Uint8Array>>

interface Author {
  readonly session: string
  incarnation: string
  /** The commits of its chain so far. */
  own: Commit[]
  /** The position of the authority's log that it has seen, -1 for none. */
  seen: number
}

/** The parts of a change as bytes; a content of null was erased. */
interface Parts {
  readonly identity: Uint8Array
  readonly operations: Uint8Array
  readonly content: Uint8Array | null
}

export class Scene {
  readonly replica = new BareReplica(schemas)
  readonly #draw: Stream
  readonly #authors: readonly Author[]
  readonly #commits: Commit[] = []
  #verdicts = 0

  constructor(draw: Stream) {
    this.#draw = draw
    this.#authors = Array.from({ length: 3 }, () => ({
      session: this.#hex(32),
      incarnation: this.#hex(8),
      own: [],
      seen: -1,
    }))
  }

  enter(verdict: Verdict): void {
    this.#verdicts++
    this.replica.enter(verdict)
  }

  admitted(commit: Commit): void {
    this.#commits.push(commit)
    const author = this.#authors.find(({ session }) => session === commit.session)
    // Bytes that were edited may open a chain that no author goes on with.
    if (author === undefined || commit.incarnation !== author.incarnation) return
    author.own.push(commit)
    // Who claimed the end of time or a position that is not there waits with all that follows, and begins another chain.
    if (!this.replica.counting.waiting.has(commit.id)) return
    this.#beginChain(author)
  }

  #beginChain(author: Author): void {
    author.incarnation = this.#hex(8)
    author.own = []
  }

  good(): Uint8Array {
    const author = this.#draw.pick(this.#authors)
    // On another device, whose clock knows nothing of this one's: clocks of concurrent commits are equal often.
    if (this.#draw.chance(0.3)) this.#beginChain(author)
    const taken = this.#draw.chance(0.15) ? this.#draw.shuffle(keys).slice(0, 2) : [this.#draw.pick(keys)]
    return this.#seal(
      author,
      taken.map((key) => this.#honest(key)),
      { atomic: this.#draw.chance(0.3) },
    )
  }

  poison(): { readonly kind: string; readonly bytes: Uint8Array } {
    const [kind, make] = this.#draw.pick(this.#draw.chance(heavyShare) ? this.#heavy : this.#light)
    return { kind, bytes: make() }
  }

  // What every kind of poison starts from.

  #hex(length: number): string {
    return toHex(this.#draw.bytes(length))
  }

  #item(key: string, of: SchemaName = thing): MergedItem | undefined {
    return this.replica.counting.item(key, of.hash)
  }

  #parents(key: string): string[] {
    const item = this.#item(key)
    if (item === undefined) return []
    const heads = [...item.heads]
    // Somebody who has not seen everything.
    const taken = this.#draw.chance(0.25)
      ? [this.#draw.int(item.graph.nodes.length)]
      : this.#draw.shuffle(heads).slice(0, 16)
    return taken.map((index) => item.graph.node(index).id).sort((a, b) => (a < b ? -1 : 1))
  }

  #draft(key: string, operations: readonly Operation[], parents = this.#parents(key)): Draft {
    return { key, parents, schema: thing, operations, salt: this.#draw.bytes(12) }
  }

  #header(author: Author, drafts: readonly Pick<Draft, 'parents'>[]): Header {
    const last = author.own.at(-1)
    const past = [last, ...drafts.flatMap(({ parents }) => parents.map((id) => this.replica.commits.get(id)))]
    const clock =
      Math.max(now * clockTicks - 1e6, ...past.map((one) => one?.clock ?? 0)) + (this.#draw.chance(0.8) ? 1 : 3)
    if (this.#draw.chance(0.3)) author.seen = this.#verdicts - 1
    author.seen = Math.max(author.seen, ...past.map((one) => one?.policy.authority?.n ?? -1))
    return {
      network: '00'.repeat(32),
      repository: '/board/one',
      session: author.session,
      incarnation: author.incarnation,
      seq: last === undefined ? 0 : last.seq + 1,
      prev: last?.id ?? null,
      clock,
      policy: {
        root: { epoch: 0, n: 0, hash: '00'.repeat(32) },
        authority: author.seen < 0 ? null : { epoch: 0, n: author.seen, hash: '11'.repeat(32) },
      },
      atomic: false,
      extended: false,
    }
  }

  #seal(author: Author, drafts: readonly Draft[], rest: Partial<Header> = {}): Uint8Array {
    const fields = { ...this.#header(author, drafts), ...rest }
    return sealCommit(composeCommit(fields, drafts, hash), this.#draw.bytes(64)).bytes
  }

  /** A commit of these parts, whatever they are. `edit` changes the fields of the header in the end. */
  #assemble(
    parts: readonly Parts[],
    parents: readonly string[],
    edit: (header: Plain[]) => void = () => undefined,
  ): Uint8Array {
    const author = this.#draw.pick(this.#authors)
    const fields = this.#header(author, [{ parents }])
    const position = (at: { epoch: number; n: number; hash: string }): Plain => [at.epoch, at.n, fromHex(at.hash)]
    const { root, authority } = fields.policy
    const erased = (part: Parts): Uint8Array => hash(concatBytes(part.identity, part.operations))
    const header: Plain[] = [
      1,
      fromHex(fields.network),
      fields.repository,
      fromHex(fields.session),
      fromHex(fields.incarnation),
      fields.seq,
      fields.prev === null ? null : fromHex(fields.prev),
      fields.clock,
      [position(root), authority === null ? null : position(authority)],
      0,
      parts.map((part) =>
        changeHash(part.identity, part.operations, part.content === null ? erased(part) : hash(part.content)),
      ),
      new Map(),
    ]
    edit(header)
    return encode([
      encode(header),
      this.#draw.bytes(64),
      parts.map((part) => [part.identity, part.operations, part.content ?? [erased(part)]]),
    ])
  }

  #parts(key: string, parents: readonly string[], operations: Plain, content: readonly Plain[] | null): Parts {
    return {
      identity: encode([key, parents.map(fromHex), [thing.name, thing.version, fromHex(thing.hash)]]),
      operations: encode(operations),
      content: content === null ? null : encode([this.#draw.bytes(12), content]),
    }
  }

  #one(operations: readonly Operation[]): Uint8Array {
    return this.#seal(this.#draw.pick(this.#authors), [this.#draft(this.#draw.pick(keys), operations)])
  }

  #raw(operations: Plain, content: readonly Plain[] | null): Uint8Array {
    const key = this.#draw.pick(keys)
    const parents = this.#parents(key)
    return this.#assemble([this.#parts(key, parents, operations, content)], parents)
  }

  #heldTags(key: string, kind: 'elements' | 'entries'): Tag[] {
    const tags: Tag[] = []
    for (const [, held] of this.#item(key)?.value().fields ?? []) {
      if (held.kind === 'elements' && kind === 'elements') tags.push(...held.byTag.keys())
      if (held.kind === 'entries' && kind === 'entries')
        for (const puts of held.byKey.values()) tags.push(...puts.map(({ tag }) => tag))
    }
    return tags
  }

  /** Operations that fit the item as its author sees it. */
  #honest(key: string): Draft {
    const item = this.#item(key)
    if (item === undefined) return this.#draft(key, fittingOperations(this.#draw), [])
    const heads = [...item.heads]
    // Two in five write at the same time as whoever wrote last.
    const seen = this.#draw.chance(0.4)
      ? item.graph.node(this.#draw.pick(heads)).parents
      : heads.slice(0, limits.parents)
    const parents = seen.map((index) => item.graph.node(index).id).sort((a, b) => (a < b ? -1 : 1))
    return this.#draft(key, fittingOperations(this.#draw, item.at(seen)), parents)
  }

  #splice(at: number, remove: number, insert: string): Operation {
    const field = this.#draw.pick(['notes', 'notes', 'more'])
    return { kind: 'splice', field, at, remove, length: insert.length, insert }
  }

  #textLength(key: string): number {
    const item = this.#item(key)
    return item === undefined ? 0 : ropeOf(item.value(), 'notes').length
  }

  readonly #light = Object.entries({
    'unknown field': () => {
      const field = this.#draw.pick(strangeNames)
      return this.#one(this.#draw.shuffle(anyOperations(field, this.#draw)).slice(0, 2))
    },
    'wrong kind': () => this.#one([this.#draw.pick(anyOperations(this.#draw.pick(fieldNames), this.#draw))]),
    'strange value': () => {
      const [field, value] = [this.#draw.pick(fieldNames), this.#draw.pick(strangeScalars)]
      const kind = fieldNamed(Thing, field)?.kind
      if (kind === 'set') return this.#one([{ kind: 'add', field, value }])
      if (kind === 'map') return this.#one([{ kind: 'put', field, entry: [this.#draw.pick(strangeTexts), value] }])
      return this.#one([{ kind: 'assign', field, value }])
    },
    'strange map key': () => {
      const key = this.#draw.pick([...strangeNames, ...strangeTexts, 'x'.repeat(256)])
      return this.#one([
        { kind: 'put', field: 'marks', entry: [key, 1] },
        { kind: 'put', field: 'names', entry: [key, key.slice(0, 100)] },
      ])
    },
    'splice out of range': () => {
      const length = this.#textLength('card')
      const at = this.#draw.pick([0, length, length + 1, length - 1, mostCount, mostCount - 1])
      const remove = this.#draw.pick([0, 1, length, length + 1, mostCount])
      return this.#one([this.#splice(Math.max(0, at), remove, this.#draw.pick(['x', '\u{1f9f5}']))])
    },
    'splice inside a character': () => {
      const insert = '\u{1f9f5}\u{1f9f6}'
      const more = this.#draw.pick([
        this.#splice(1, 0, 'x'),
        this.#splice(2, 1, ''),
        this.#splice(1, 2, ''),
        this.#splice(0, 4, '\u{1f9f7}'),
      ])
      return this.#one([{ kind: 'splice', field: 'notes', at: 0, remove: 0, length: 4, insert }, more])
    },
    'half a character': () => {
      const half = Uint8Array.from([0xed, 0xa0, 0xbe])
      const body = concatBytes(encode(['xyz']).subarray(0, 1), Uint8Array.of(0x63), half)
      const key = this.#draw.pick(keys)
      const parents = this.#parents(key)
      const part = this.#parts(key, parents, [['title', 0]], [])
      const content = concatBytes(Uint8Array.of(0x82, 0x4c), this.#draw.bytes(12), body)
      return this.#assemble([{ ...part, content }], parents)
    },
    'not a number': () => {
      const view = new DataView(new ArrayBuffer(9))
      view.setUint8(0, 0xfb)
      view.setFloat64(1, this.#draw.pick([Number.NaN, -0, Number.POSITIVE_INFINITY, 1, 2 ** 31]))
      const key = this.#draw.pick(keys)
      const parents = this.#parents(key)
      const part = this.#parts(key, parents, [['count', 0]], [])
      const head = concatBytes(Uint8Array.of(0x82, 0x4c), this.#draw.bytes(12), Uint8Array.of(0x81))
      return this.#assemble([{ ...part, content: concatBytes(head, new Uint8Array(view.buffer)) }], parents)
    },
    'lengths that lie': () => {
      const lie = this.#draw.pick([0, 1, 2, 3, 3, 4, 262_144, 262_145, mostCount])
      return this.#raw(
        [['notes', 5, 0, this.#draw.pick([0, 1]), lie]],
        this.#draw.pick([['xyz'], [], null, ['xyz', 'x']]),
      )
    },
    'erased bomb': () =>
      this.#raw(
        Array.from({ length: 3 }, () => ['notes', 5, 0, 0, this.#draw.pick([1, 100_000, mostCount])]),
        null,
      ),
    'malformed operation': () => {
      const operation: Plain = this.#draw.pick<Plain>([
        ['title', 8],
        ['title', -1],
        ['', 0],
        ['title', 6],
        ['tags', 2, []],
        ['tags', 2, [[new Uint8Array(31), 0]]],
        ['tags', 2, [[new Uint8Array(32), limits.operations]]],
        ['title', 0, 0],
        ['notes', 5, 0, 0, 0],
        ['notes', 5, -1, 0, 1],
        ['notes', 5, 0.5, 0, 1],
        ['x'.repeat(65), 0],
        new Map([['__proto__', 1]]),
      ])
      return this.#raw([operation], this.#draw.pick<readonly Plain[]>([[], ['x'], [['x', 1]], [new Map()]]))
    },
    'unknown tags': () => {
      const tag = (): Tag => tagOf(this.#hex(32), this.#draw.pick([0, 1, limits.operations - 1]))
      const tags = this.#draw.pick([[tag()], [tag(), tag(), tag()]])
      return this.#one([
        { kind: 'remove', field: this.#draw.pick(['tags', 'numbers']), tags },
        { kind: 'drop', field: this.#draw.pick(['marks', 'names']), tags },
      ])
    },
    'foreign tags': () => {
      // Of other items and fields, of operations that added nothing, each twice.
      const known = this.#commits.length === 0 ? this.#hex(32) : this.#draw.pick(this.#commits).id
      const held = keys.flatMap((key) => [...this.#heldTags(key, 'elements'), ...this.#heldTags(key, 'entries')])
      const tags = [tagOf(known, this.#draw.int(3)), ...this.#draw.shuffle(held).slice(0, 4)].flatMap((tag) => [
        tag,
        tag,
      ])
      return this.#one([
        { kind: 'remove', field: 'tags', tags },
        { kind: 'drop', field: 'marks', tags },
        { kind: 'remove', field: 'tags', tags },
      ])
    },
    'everything at once': () =>
      this.#one(
        this.#draw.shuffle([
          { kind: 'delete' },
          { kind: 'touch' },
          { kind: 'assign', field: 'title', value: 'a' },
          { kind: 'assign', field: 'title', value: 'b' },
          { kind: 'add', field: 'tags', value: 'a' },
          { kind: 'add', field: 'tags', value: 'a' },
          { kind: 'put', field: 'marks', entry: ['a', 1] },
          { kind: 'put', field: 'marks', entry: ['a', 2] },
          { kind: 'splice', field: 'notes', at: 0, remove: 0, length: 2, insert: '\u{1f9f5}' },
        ] as const),
      ),
    nothing: () => this.#one([]),
    'one item twice': () => {
      const key = this.#draw.pick(keys)
      const parents = this.#parents(key)
      const part = this.#parts(key, parents, [['title', 0]], ['a'])
      return this.#assemble([part, part], parents)
    },
    'half of an atomic commit cannot be': () => {
      const drafts = [
        this.#draft('card', [{ kind: 'assign', field: 'title', value: 'a' }]),
        this.#draft('__proto__', [{ kind: 'assign', field: 'nowhere', value: 'a' }]),
      ]
      return this.#seal(this.#draw.pick(this.#authors), drafts, { atomic: this.#draw.chance(0.7) })
    },
    'strange parents': () => {
      const key = this.#draw.pick(keys)
      const held = this.#item(key)?.graph.nodes.map(({ id }) => id) ?? []
      const many = this.#draw
        .shuffle(held)
        .slice(0, 17)
        .sort((a, b) => (a < b ? -1 : 1))
      const anyone = this.#commits.length === 0 ? [] : [this.#draw.pick(this.#commits).id]
      const parents = this.#draw.pick([
        many,
        many.toReversed(),
        [...many, ...many.slice(-1)],
        anyone,
        [this.#hex(32)],
        many.slice(0, 16),
      ])
      return this.#assemble([this.#parts(key, parents, [['notes', 5, 0, 0, 1]], ['x'])], parents)
    },
    'all of the past as parents': () => {
      const key = this.#draw.pick(keys)
      const held = this.#item(key)?.graph.nodes.map(({ id }) => id) ?? []
      const parents = this.#draw
        .shuffle(held)
        .slice(0, 16)
        .sort((a, b) => (a < b ? -1 : 1))
      const operations = [this.#splice(0, 0, 'p'), { kind: 'add', field: 'tags', value: 'p' } as const]
      return this.#seal(this.#draw.pick(this.#authors), [this.#draft(key, operations, parents)])
    },
    'broken chain': () => {
      const edit = this.#draw.pick<(header: Plain[]) => void>([
        (header) => {
          header[5] = Number(header[5]) + 2
        },
        (header) => {
          header[6] = this.#draw.bytes(32)
        },
        (header) => {
          header[7] = this.#draw.pick([0, 1, Number.MAX_SAFE_INTEGER])
        },
        (header) => {
          header[8] = [[0, 0, new Uint8Array(32)], null]
        },
        (header) => {
          header[8] = [
            [0, 0, new Uint8Array(32)],
            [0, this.#draw.pick([this.#verdicts, mostCount]), new Uint8Array(32)],
          ]
        },
        (header) => {
          header[11] = new Map<string, Plain>([['__proto__', 1]])
        },
        (header) => {
          header[9] = 2
        },
        (header) => {
          header[0] = 2
        },
      ])
      const parents = this.#parents('card')
      return this.#assemble([this.#parts('card', parents, [['title', 0]], ['a'])], parents, edit)
    },
    'a fork': () => {
      const author = this.#draw.pick(this.#authors)
      const earlier = author.own.length === 0 ? undefined : this.#draw.pick(author.own)
      const draft = this.#draft('card', [{ kind: 'assign', field: 'title', value: 'f' }])
      const place = earlier === undefined ? {} : { seq: earlier.seq + 1, prev: earlier.id }
      return this.#seal(author, [draft], place)
    },
    'another schema': () => {
      const named = this.#draw.pick([
        other,
        { ...thing, name: 'else' },
        { ...thing, hash: this.#hex(32) },
        { ...other, version: 0 },
      ])
      const draft = this.#draft(this.#draw.pick(keys), [
        { kind: 'assign', field: 'title', value: 'far too long for a thing' },
      ])
      return this.#seal(this.#draw.pick(this.#authors), [{ ...draft, schema: named }])
    },
    'edited bytes': () => {
      const good = this.#seal(this.#draw.pick(this.#authors), [this.#honest(this.#draw.pick(keys))])
      return rehash(mutateTree(good, good, this.#draw) ?? good)
    },
  } satisfies Poisons)

  /** At the limits or beyond them; each takes as long as a hundred others. */
  readonly #heavy = Object.entries({
    'text at the limit': () => {
      const insert = this.#draw.pick(['x', 'ü', '\u{1f9f5}'])
      const room = limits.commitBytes - 2000
      const length = Math.floor(room / Math.max(insert.length, encode(insert).length - 1))
      return this.#one([this.#splice(0, 0, insert.repeat(length))])
    },
    crumbs: () => {
      const length = this.#textLength('card')
      return this.#one(
        Array.from({ length: 9000 }, (_, index) => ({
          kind: 'splice',
          field: 'notes',
          at: this.#draw.int(length + index + 1),
          remove: 0,
          length: 1,
          insert: 'c',
        })),
      )
    },
    'many keys': () =>
      this.#one(
        Array.from({ length: this.#draw.pick([10_000, limits.operations]) }, (_, index) => ({
          kind: 'put',
          field: 'marks',
          entry: [`k${index}`, 0],
        })),
      ),
    'far too many keys': () =>
      this.#raw(
        Array.from({ length: 20_000 }, () => ['marks', 3]),
        Array.from({ length: 20_000 }, (_, index) => [`${index}`, 0]),
      ),
    'many items': () =>
      this.#seal(
        this.#draw.pick(this.#authors),
        Array.from({ length: limits.changes }, (_, index) =>
          this.#draft(`item ${index}`, [{ kind: 'assign', field: 'title', value: 'a' }]),
        ),
        { atomic: this.#draw.chance(0.5) },
      ),
    'too many items': () => {
      const part = (index: number) => this.#parts(`item ${index}`, [], [['title', 0]], ['a'])
      return this.#assemble(
        Array.from({ length: limits.changes + 1 }, (_, index) => part(index)),
        [],
      )
    },
    'many tags': () => {
      const id = this.#hex(32)
      const tags = Array.from({ length: 5000 }, (_, index) => tagOf(id, index))
      return this.#one([
        { kind: 'remove', field: 'tags', tags },
        { kind: 'drop', field: 'marks', tags: tags.slice(0, 10) },
      ])
    },
  } satisfies Poisons)
}

/** One operation of each kind on a field. */
const anyOperations = (field: string, draw: Stream): Operation[] => {
  const tags = [tagOf('00'.repeat(32), 0)]
  return [
    { kind: 'assign', field, value: draw.pick(strangeScalars) },
    { kind: 'add', field, value: draw.pick(strangeScalars) },
    { kind: 'remove', field, tags },
    { kind: 'put', field, entry: ['a', draw.pick(strangeScalars)] },
    { kind: 'drop', field, tags },
    { kind: 'splice', field, at: 0, remove: 0, length: 1, insert: 'x' },
    { kind: 'touch' },
    { kind: 'delete' },
  ]
}
