/** Commits of authors who write as replicas do, and now and then as no replica would, from a seed. Only tests use it. */
import { toHex } from '../bytes/bytes.ts'
import { decode, encode, type Plain } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal } from '../bytes/refusal.ts'
import { composeCommit, type Draft, type Hash, type Header, type Policy, sealCommit } from './commit.ts'
import { type Operation, tagOf } from './operation.ts'
import type { PackContext, Packed } from './pack.ts'

/** Mulberry32 (Tommy Ettinger). */
export class Draw {
  #state: number
  constructor(seed: number) {
    this.#state = seed
  }
  int(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
  }
  chance(percent: number): boolean {
    return this.int(100) < percent
  }
  pick<Value>(list: readonly Value[]): Value {
    const picked = list[this.int(list.length)]
    if (picked === undefined) throw new Error('nothing to pick from')
    return picked
  }
  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.int(256))
  }
  hex(length: number): string {
    return toHex(this.bytes(length))
  }
}

const words = ['', 'a', 'Ship it', 'naïve', '織る', '🧵x', 'x'.repeat(30), '\ufeffmark', 'ü'.repeat(140)]
const someValue = (draw: Draw) =>
  draw.pick([...words, 0, 23, 24, 255, 256, 65_536, -1, -25, 1.5, 1e15, 2 ** 53, true, false, null])

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

interface Chain {
  readonly session: string
  readonly incarnation: string
  seq: number
  prev: string | null
}
interface Item {
  readonly key: string
  heads: string[]
}

/** Authors who write as replicas do, and now and then as no replica would. */
export class Authors {
  readonly #draw: Draw
  readonly #hash: Hash
  readonly #context: PackContext
  readonly #chains: Chain[] = []
  readonly #items: Item[] = []
  readonly #ids: string[] = []
  readonly #schemas = ['card', 'note', 'Größe'].map((name, at) => ({
    name,
    version: at * 100,
    hash: `5${at}`.repeat(32),
  }))
  readonly #fields = ['title', 'done', 'place', 'notes', '標題', 'f'.repeat(64)]
  #policy: Policy = { root: { epoch: 0, n: 3, hash: '44'.repeat(32) }, authority: null }
  #clock = 1_750_000_000_000 * 256

  constructor(seed: number, { hash, ...context }: PackContext & { readonly hash: Hash }) {
    this.#draw = new Draw(seed)
    this.#hash = hash
    this.#context = context
  }

  #chain(): Chain {
    const draw = this.#draw
    if (this.#chains.length === 0 || draw.chance(6)) {
      const session = draw.chance(40) && this.#chains.length > 0 ? draw.pick(this.#chains).session : draw.hex(32)
      const isOld = draw.chance(30)
      const seq = isOld ? draw.pick([1, 77, 70_000, 0xffff_fffe]) : 0
      const chain = { session, incarnation: draw.hex(8), seq, prev: isOld ? draw.hex(32) : null }
      this.#chains.push(chain)
      return chain
    }
    return draw.chance(50)
      ? (this.#chains[this.#chains.length - 1] ?? draw.pick(this.#chains))
      : draw.pick(this.#chains)
  }

  #item(): Item {
    const draw = this.#draw
    if (this.#items.length > 0 && !draw.chance(20)) return draw.pick(this.#items)
    const key = draw.pick([draw.hex(12), draw.hex(1), `ключ ${draw.int(1e9)}`, `${draw.hex(3)}a`, `Key${draw.hex(4)}`])
    const item = this.#items.find((other) => other.key === key) ?? { key, heads: [] }
    if (!this.#items.includes(item)) this.#items.push(item)
    return item
  }

  #operation(): Operation {
    const draw = this.#draw
    const field = draw.chance(90) ? draw.pick(this.#fields) : `field ${draw.int(60)}`
    const tags = () =>
      Array.from({ length: 1 + draw.int(3) }, () =>
        tagOf(
          draw.chance(60) && this.#ids.length > 0 ? draw.pick(this.#ids) : draw.hex(32),
          draw.int(limits.operations),
        ),
      )
    switch (draw.int(10)) {
      case 0:
      case 1:
        return { kind: 'assign', field, value: someValue(draw) }
      case 2:
        return { kind: 'add', field, value: someValue(draw) }
      case 3:
        return { kind: 'remove', field, tags: tags() }
      case 4:
        return { kind: 'put', field, entry: [draw.pick(words.slice(0, 7)), someValue(draw)] }
      case 5:
        return { kind: 'drop', field, tags: tags() }
      case 6:
        return { kind: 'touch' }
      case 7:
        return { kind: 'delete' }
      default: {
        const insert = draw.pick(words)
        const at = draw.pick([0, 1, draw.int(90), 70_000, 0xffff_ffff])
        return {
          kind: 'splice',
          field,
          at,
          remove: draw.int(3) + (insert === '' ? 1 : 0),
          length: insert.length,
          insert,
        }
      }
    }
  }

  #operations(): Operation[] {
    const draw = this.#draw
    const [a, b] = [draw.pick(this.#fields), draw.pick(this.#fields)]
    switch (draw.int(4)) {
      case 0:
        return [{ kind: 'splice', field: 'notes', at: draw.int(9), remove: 0, length: 1, insert: 'x' }]
      case 1:
        return [a, b].map((field) => ({ kind: 'assign', field, value: someValue(draw) }))
      default:
        return Array.from({ length: draw.int(6) }, () => this.#operation())
    }
  }

  #draft(item: Item): Draft {
    const draw = this.#draw
    const strangers = Array.from({ length: draw.pick([0, 0, 0, 1, 16]) }, () => draw.hex(32))
    const recent = draw.chance(20) && this.#ids.length > 0 ? [draw.pick(this.#ids)] : []
    const parents = [...new Set([...item.heads, ...strangers, ...recent])].slice(0, limits.parents).sort(byText)
    return {
      key: item.key,
      parents,
      schema: draw.pick(this.#schemas),
      operations: this.#operations(),
      salt: draw.bytes(12),
    }
  }

  /** A record that `readCommit` accepts, but for its signature, which some do not have. */
  next(changes?: number): Packed {
    const draw = this.#draw
    const chain = this.#chain()
    if (draw.chance(10)) {
      const position = { epoch: draw.int(3), n: draw.pick([4, 70_000, 0xffff_ffff]), hash: draw.hex(32) }
      const other = { epoch: 1, n: draw.int(5), hash: '66'.repeat(32) }
      this.#policy = draw.pick([
        { root: position, authority: null },
        { root: this.#policy.root, authority: position },
        { root: position, authority: other },
        { root: other, authority: other },
      ])
    }
    this.#clock += draw.pick([1, 1, 255, 256 * 333, 256 * 333, 256 * 70_000, -256 * 40])
    const clock = draw.chance(3) ? draw.pick([0, 5, 2 ** 32, Number.MAX_SAFE_INTEGER]) : this.#clock
    const items = new Set(Array.from({ length: changes ?? draw.pick([1, 1, 1, 1, 2, 5]) }, () => this.#item()))
    const fields: Header = {
      network: draw.chance(2) ? '22'.repeat(32) : this.#context.network,
      repository: draw.chance(2) ? '/board/other' : this.#context.repository,
      session: chain.session,
      incarnation: chain.incarnation,
      seq: chain.seq,
      prev: chain.prev,
      clock,
      policy: this.#policy,
      atomic: draw.chance(10),
      extended: false,
    }
    const composed = composeCommit(
      fields,
      [...items].map((item) => this.#draft(item)),
      this.#hash,
    )
    const signed = sealCommit(composed, draw.chance(60) ? draw.bytes(64) : new Uint8Array(0))
    const made = draw.chance(4) ? withExt(signed, draw.pick([1, 'x', [1, null]]), this.#hash) : signed
    const stripped = draw.chance(8) && made === signed ? strip(signed, draw, this.#hash) : made
    if (!draw.chance(4)) {
      chain.seq = chain.seq === 0xffff_ffff ? 0 : chain.seq + 1
      chain.prev = chain.seq === 0 ? null : made.id
    }
    for (const item of items) item.heads = draw.chance(8) ? [...item.heads, made.id].slice(-3).sort(byText) : [made.id]
    this.#ids.push(made.id)
    return { id: stripped.id, bytes: stripped.bytes }
  }

  some(count: number): Packed[] {
    return Array.from({ length: count }, () => this.next())
  }
}

const listOf = (plain: Plain | undefined): Plain[] => {
  if (!Array.isArray(plain)) throw new Error('not a list')
  return [...plain]
}
const bytesOf = (plain: Plain | undefined): Uint8Array => {
  if (!(plain instanceof Uint8Array)) throw new Error('not bytes')
  return plain
}
const plainOf = (bytes: Uint8Array): Plain => {
  const plain = decode(bytes)
  if (isRefusal(plain)) throw new Error(plain.code)
  return plain
}

/** The record with other parts, and the hashes in its header right again. */
const remade = (bytes: Uint8Array, change: (header: Plain[], changes: Plain[][]) => void, hash: Hash): Packed => {
  const [head, signature, list] = listOf(plainOf(bytes))
  const header = listOf(plainOf(bytesOf(head)))
  const changes = listOf(list).map(listOf)
  change(header, changes)
  header[10] = changes.map(([identity, operations, content]) => {
    const last = content instanceof Uint8Array ? hash(content) : bytesOf(listOf(content)[0])
    return hash(new Uint8Array([...hash(bytesOf(identity)), ...hash(bytesOf(operations)), ...last]))
  })
  const headerBytes = encode(header)
  return { id: toHex(hash(headerBytes)), bytes: encode([headerBytes, bytesOf(signature), changes]) }
}

const withExt = ({ bytes }: Packed, value: Plain, hash: Hash): Packed =>
  remade(
    bytes,
    (header) => {
      header[11] = new Map([['later', value]])
    },
    hash,
  )

/** Without the content of some changes. `stripCommit` reads what it made, and so wants a signature. */
const strip = (packed: Packed, draw: Draw, hash: Hash): Packed =>
  remade(
    packed.bytes,
    (_, changes) => {
      for (const change of changes) if (draw.chance(70)) change[2] = [hash(bytesOf(change[2]))]
    },
    hash,
  )
