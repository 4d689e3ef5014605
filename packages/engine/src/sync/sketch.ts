import { limits } from '../bytes/limits.ts'
import type { Head } from '../graph/commits.ts'
import type { Held } from './held.ts'
import { hexWord, type Keys } from './keyed.ts'
import { Lack } from './lack.ts'
import { type Behind, type Moved, shortIdBytes } from './message.ts'
import { type Element, locate, placeOf, prime, rootsAmong, type Sums, subtractSums, sumsOf, weightOf } from './sums.ts'
import { encodeVector, type VectorHead, vectorKeyBits } from './vector.ts'

/**
 * What a replica makes of the other's sketch of its heads, by arithmetic: which of its chains the other lacks the end of,
 * and where it is behind itself. What a sketch cannot tell (a forked chain, two chains under one key, a chain of more than
 * 2^23 commits) is left to a filter: nothing here is needed for two replicas to become equal, only for it to be cheap.
 */

/** A chain under the keys of a round. */
interface Strand {
  /** One, or the branches of a fork. */
  readonly tips: readonly Head[]
  readonly weight: number
}

export interface Strands {
  readonly elements: readonly Element[]
  /** Null where two chains have the same key. */
  readonly byKey: ReadonlyMap<number, Strand | null>
}

const idBits = 8

const bitsOf = (id: string, keys: Keys, bits: number): number => keys.idBits(hexWord(id, 0), hexWord(id, 8), bits)

/** Of a fork, something that only the same fork has. */
const weightOfTips = (tips: readonly Head[], keys: Keys): number => {
  const [tip] = tips
  if (tip !== undefined && tips.length === 1) return weightOf(tip.seq, bitsOf(tip.id, keys, idBits))
  return (tips.reduce((sum, { id }) => (sum + bitsOf(id, keys, 31)) % prime, 0) % (prime - 1)) + 1
}

/** All chains that are held, keyed for sums. Costs the number of tips. */
export const strandsOf = (held: Held, keys: Keys): Strands => {
  const byChain = new Map<string, Head[]>()
  for (const head of held.heads()) {
    const tips = byChain.get(head.chain)
    if (tips === undefined) byChain.set(head.chain, [head])
    else tips.push(head)
  }
  const byKey = new Map<number, Strand | null>()
  const elements: Element[] = []
  for (const [chain, tips] of byChain) {
    const key = keys.sumKey(...held.digest(chain))
    const weight = weightOfTips(tips, keys)
    elements.push({ key, weight })
    byKey.set(key, byKey.has(key) ? null : { tips, weight })
  }
  return { elements, byKey }
}

/** What a side does about a sketch that it could read. */
export interface Settled {
  /** Commits the other lacks, parents first. */
  readonly push: readonly string[]
  readonly behind: readonly Behind[]
  readonly rest: readonly number[]
}

/** The other's sums held against one's own; undefined where more differs than they can tell. */
export const settleSums = (theirs: Sums, strands: Strands, keys: Keys, held: Held): Settled | undefined => {
  const located = locate(subtractSums(sumsOf(strands.elements, theirs.length), theirs), strands.byKey.keys())
  if (located === undefined) return undefined
  const lack = new Lack(held)
  const behind: Behind[] = []
  for (const { key, weight: lead } of located.moved) {
    const strand = strands.byKey.get(key)
    const [tip] = strand?.tips ?? []
    if (strand === undefined || strand === null || tip === undefined) continue
    const weight = (strand.weight - lead + 2 * prime) % prime
    if (weight === 0) {
      for (const one of strand.tips) gather(lack, one, 0, held)
      continue
    }
    if (strand.tips.length > 1) continue
    const place = placeOf(weight)
    const { seq } = place
    if (seq > tip.seq) behind.push(behindAt(key, tip))
    else if (seq < tip.seq) gather(lack, tip, seq + 1, held, (at) => bitsOf(at, keys, idBits) === place.idBits)
  }
  return {
    push: lack.sendable(),
    behind: behind.slice(0, limits.headsPerMessage),
    rest: [...located.remainder],
  }
}

const behindAt = (key: number, tip: Head): Behind => ({ key, held: tip.seq + 1, id: tip.id.slice(0, 2 * shortIdBytes) })

/** Takes the commits of the tip's branch from `seq` on, where the one before them is the other's. */
const gather = (
  lack: Lack,
  tip: Head,
  seq: number,
  held: Held,
  isTheirs: (before: string) => boolean = () => true,
): void => {
  if (seq <= held.floorOf(tip.chain)) return lack.keep(tip.chain, seq - 1)
  const ids: string[] = []
  let at: string | undefined = tip.id
  for (let left = tip.seq - seq + 1; left > 0 && at !== undefined; left--) {
    ids.push(at)
    at = held.previous(at)
  }
  if (seq === 0 || (at !== undefined && isTheirs(at))) lack.add(ids)
}

/** The chains that are held as a vector has them, by their keys in it; null where two have the same. */
const vectorStrands = (held: Held, keys: Keys, keyBits: number): Map<number, readonly Head[] | null> => {
  const byKey = new Map<number, Head[] | null>()
  for (const head of held.heads()) {
    const key = keys.vectorKey(...held.digest(head.chain), keyBits)
    const tips = byKey.get(key)
    if (tips === undefined) byKey.set(key, [head])
    else if (tips?.[0]?.chain === head.chain) tips.push(head)
    else byKey.set(key, null)
  }
  return byKey
}

/** All heads, one by one; of chains that fall together none is settled. */
export const vectorOf = (
  held: Held,
  keys: Keys,
  round: number,
): { readonly bits: Uint8Array; readonly count: number } => {
  const tips = [...held.heads()]
  const keyBits = vectorKeyBits(tips.length, round)
  const heads = tips.map(
    ({ chain, seq }): VectorHead => ({ key: keys.vectorKey(...held.digest(chain), keyBits), seq, idBits: 0 }),
  )
  return { bits: encodeVector(heads, { round, idBits: 0 }), count: tips.length }
}

/** The other's vector held against one's own heads. */
export const settleVector = (heads: readonly VectorHead[], round: number, keys: Keys, held: Held): Settled => {
  const theirs = new Map<number, VectorHead | null>()
  for (const head of heads) theirs.set(head.key, theirs.has(head.key) ? null : head)
  const mine = vectorStrands(held, keys, vectorKeyBits(heads.length, round))
  const lack = new Lack(held)
  const behind: Behind[] = []
  for (const [key, tips] of mine) {
    const head = theirs.get(key)
    const [tip] = tips ?? []
    if (tip === undefined || tips === null || head === null) continue
    if (head === undefined) for (const one of tips) gather(lack, one, 0, held)
    else if (tips.length > 1) continue
    else if (head.seq > tip.seq) behind.push(behindAt(key, tip))
    else if (head.seq < tip.seq) gather(lack, tip, head.seq + 1, held)
  }
  for (const [key, head] of theirs) if (head !== null && !mine.has(key)) behind.push({ key, held: 0, id: '' })
  return { push: lack.sendable(), behind: behind.slice(0, limits.headsPerMessage), rest: [] }
}

/** What the other lacks by its own words. `vector`: how many heads were in the vector that it read, if it read one. */
export const answerMoved = (moved: Moved, vector: number | undefined, keys: Keys, held: Held): readonly string[] => {
  const strands = vector === undefined ? strandsOf(held, keys).byKey : undefined
  const byKey = vector === undefined ? undefined : vectorStrands(held, keys, vectorKeyBits(vector, moved.round))
  const tipsAt = (key: number): readonly Head[] => strands?.get(key)?.tips ?? byKey?.get(key) ?? []
  const lack = new Lack(held)
  for (const { key, held: count, id } of moved.behind)
    for (const tip of tipsAt(key)) gather(lack, tip, count, held, (at) => at.startsWith(id))
  if (strands !== undefined && moved.rest.length > 0) {
    for (const key of rootsAmong(Uint32Array.from(moved.rest), strands.keys()))
      for (const tip of tipsAt(key)) gather(lack, tip, 0, held)
  }
  return lack.sendable()
}
