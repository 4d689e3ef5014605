/**
 * A store that reconciliation can ask, with a hundred thousand commits that cost no memory and no signature: a commit is no more than its
 * place, and its id holds chain and seq behind 24 bytes that look like a hash.
 */
import { fromHex, toHex } from '../../packages/engine/src/bytes/bytes.ts'
import type { Head } from '../../packages/engine/src/graph/commits.ts'
import type { Held } from '../../packages/engine/src/sync/held.ts'
import { sha256 } from './sample.ts'

const utf8 = new TextEncoder()
const hexOf = (text: string): string => toHex(sha256(utf8.encode(text)))
const word = (value: number): string => value.toString(16).padStart(8, '0')

/** Bytes that a commit would take to send: what messages are cut by. */
const commitSize = 300
const prefixBytes = 4

/** What all stores of one scene begin with: so many chains of one length, and names for chains that come later. */
export class Origin {
  readonly seed: string
  readonly chains: number
  readonly length: number
  readonly #names: string[] = []
  readonly #indices = new Map<string, number>()
  readonly #digests = new Map<string, readonly [number, number]>()
  /** What every store of the scene holds at first, by chain. */
  readonly heads: readonly Head[]

  constructor(seed: string, chains: number, length: number) {
    this.seed = seed
    this.chains = chains
    this.length = length
    this.heads = Array.from({ length: chains }, (_, chain) => {
      const seq = length - 1
      return { chain: this.name(chain), seq, id: this.id(chain, seq) }
    })
  }

  get count(): number {
    return this.chains * this.length
  }

  /** Name of the chain at that place: session and incarnation. */
  name(index: number): string {
    for (let next = this.#names.length; next <= index; next++) {
      const name = hexOf(`${this.seed}/session/${next}`) + hexOf(`${this.seed}/incarnation/${next}`).slice(0, 16)
      this.#names.push(name)
      this.#indices.set(name, next)
    }
    return this.#names[index] ?? ''
  }

  indexOf(chain: string): number {
    return this.#indices.get(chain) ?? -1
  }

  digest(chain: string): readonly [number, number] {
    const known = this.#digests.get(chain)
    if (known !== undefined) return known
    const view = new DataView(sha256(fromHex(chain)).buffer)
    const digest = [view.getUint32(0, true), view.getUint32(4, true)] as const
    this.#digests.set(chain, digest)
    return digest
  }

  id(chain: number, seq: number): string {
    return hexOf(`${this.seed}/${chain}/${seq}`).slice(0, 48) + word(chain) + word(seq)
  }

  place(id: string): { readonly chain: number; readonly seq: number } {
    return { chain: Number.parseInt(id.slice(48, 56), 16), seq: Number.parseInt(id.slice(56, 64), 16) }
  }
}

export class Store implements Held {
  readonly origin: Origin
  readonly #name: string
  /** Seq of each chain's last commit, or -1. */
  readonly #tips: number[]
  readonly #heads = new Map<number, Head>()
  /** What came after the origin. */
  readonly #later: string[] = []
  readonly #places = new Map<string, number>()
  #fingerprint: Uint8Array | undefined

  constructor(name: string, origin: Origin) {
    this.#name = name
    this.origin = origin
    this.#tips = new Array<number>(origin.chains).fill(origin.length - 1)
    for (const [chain, head] of origin.heads.entries()) this.#heads.set(chain, head)
  }

  #setHead(chain: number): void {
    const seq = this.#tips[chain] ?? -1
    this.#heads.set(chain, { chain: this.origin.name(chain), seq, id: this.origin.id(chain, seq) })
    this.#fingerprint = undefined
  }

  /** A chain goes on by so many commits. */
  write(chain: number, count: number): string[] {
    const ids = Array.from({ length: count }, (_, index) =>
      this.origin.id(chain, (this.#tips[chain] ?? -1) + 1 + index),
    )
    this.admit(ids)
    return ids
  }

  /** Takes the commits in; gives those that are new. One that does not follow its chain's last is a mistake of the bench. */
  admit(ids: readonly string[]): string[] {
    const fresh = ids.filter((id) => !this.has(id))
    for (const id of fresh) {
      const { chain, seq } = this.origin.place(id)
      if (seq !== (this.#tips[chain] ?? -1) + 1) throw new Error(`commit ${seq} of chain ${chain} came too early`)
      this.#tips[chain] = seq
      this.#places.set(id, this.origin.count + this.#later.length)
      this.#later.push(id)
    }
    for (const chain of new Set(fresh.map((id) => this.origin.place(id).chain))) this.#setHead(chain)
    return fresh
  }

  heads(): Iterable<Head> {
    return this.#heads.values()
  }

  headsOf(chain: string): readonly Head[] {
    const head = this.#heads.get(this.origin.indexOf(chain))
    return head === undefined ? [] : [head]
  }

  digest(chain: string): readonly [number, number] {
    return this.origin.digest(chain)
  }

  placeOf(id: string): { readonly chain: string; readonly seq: number } | undefined {
    const { chain, seq } = this.origin.place(id)
    return this.has(id) ? { chain: this.origin.name(chain), seq } : undefined
  }

  floorOf(): number {
    return -1
  }

  isDropped(): boolean {
    return false
  }

  count(): number {
    return this.origin.count + this.#later.length
  }

  has(id: string): boolean {
    const { chain, seq } = this.origin.place(id)
    return seq <= (this.#tips[chain] ?? -1)
  }

  previous(id: string): string | undefined {
    const { chain, seq } = this.origin.place(id)
    return seq === 0 ? undefined : this.origin.id(chain, seq - 1)
  }

  builtOn(id: string): readonly string[] {
    const previous = this.previous(id)
    return previous === undefined ? [] : [previous]
  }

  vouchers(): readonly string[] {
    return []
  }

  arrivalIndex(id: string): number {
    const { chain, seq } = this.origin.place(id)
    return this.#places.get(id) ?? chain * this.origin.length + seq
  }

  arrival(from: number, limit: number): readonly string[] {
    const { length, count } = this.origin
    const ids: string[] = []
    for (let index = from; ids.length < limit && index < this.count(); index++) {
      const id = index < count ? this.origin.id(Math.floor(index / length), index % length) : this.#later[index - count]
      if (id !== undefined) ids.push(id)
    }
    return ids
  }

  size(): number {
    return commitSize
  }

  /** Not the engine's, which costs the number of tips, but one that has its property: the same for the same commits. */
  fingerprint(): Uint8Array {
    this.#fingerprint ??= sha256(utf8.encode([this.origin.seed, ...this.#later.toSorted()].join()))
    return this.#fingerprint
  }

  /** Not the engine's hash, but one that has its properties: the same for the same first so many of this very store. */
  prefixHash(place: number): Uint8Array | undefined {
    if (place > this.count()) return undefined
    const [last = ''] = place === 0 ? [] : this.arrival(place - 1, 1)
    return sha256(utf8.encode(`${this.#name}/${place}/${last}`)).slice(0, prefixBytes)
  }

  logPosition(): undefined {
    return undefined
  }

  epochAfter(): undefined {
    return undefined
  }

  logHash(): undefined {
    return undefined
  }

  entriesFrom(): readonly Uint8Array[] {
    return []
  }

  /** What travels in place of the commit. */
  bytes(id: string): Uint8Array {
    return fromHex(id)
  }
}
