/** A replica as reconciliation sees it: a store in memory that can be set back to an old backup, with a session of its own and a pipeline that may refuse. */
import { fromHex } from '../../../packages/engine/src/bytes/bytes.ts'
import type { Code } from '../../../packages/engine/src/bytes/refusal.ts'
import type { Head } from '../../../packages/engine/src/graph/commits.ts'
import { fingerprint } from '../../../packages/engine/src/sync/fingerprint.ts'
import { type Commit, hash, hashText, Store, universe } from '../../sync/pair.ts'

export class Replica extends Store {
  readonly name: string
  /** What its own chains begin with. */
  readonly session: string
  /** Chains whose short names are alike have equal digests too. */
  readonly alike: boolean
  /** Why its pipeline does not take a commit now. */
  refuses: (commit: Commit) => Code | undefined = () => undefined
  /** Commits that it never takes. */
  readonly held = new Set<string>()
  #incarnation = 0
  #tips: { readonly count: number; readonly all: Head[]; readonly fingerprint: Uint8Array } | undefined
  readonly #digests = new Map<string, readonly [number, number]>()

  constructor(name: string, seed: string, alike: boolean) {
    super()
    this.name = name
    this.session = hashText(`${seed} session of ${name}`)
    this.alike = alike
    const headsOfAll = this.heads
    const now = () => {
      if (this.#tips?.count !== this.order.length) {
        const all = headsOfAll()
        this.#tips = { count: this.order.length, all, fingerprint: fingerprint(all, hash) }
      }
      return this.#tips
    }
    this.heads = () => now().all
    this.fingerprint = () => now().fingerprint
    const digestOfName = this.digest
    this.digest = (chain) => {
      const digest =
        this.#digests.get(chain) ?? (this.alike ? digestOfName(chain) : wordsOf(hash(fromHex(chain)).slice(0, 8)))
      this.#digests.set(chain, digest)
      return digest
    }
  }

  /** A chain that it begins now. */
  newChain(): string {
    return this.session + hashText(`${this.session} ${this.#incarnation++}`).slice(0, 16)
  }

  /** Only the first so many commits are left. */
  restore(count: number): void {
    const kept = this.order.slice(0, count)
    this.order.length = 0
    this.place.clear()
    this.tips.clear()
    this.pool = []
    this.#tips = undefined
    for (const id of kept) {
      const commit = universe.get(id)
      if (commit !== undefined) this.admit([commit])
    }
  }
}

const wordsOf = (bytes: Uint8Array): readonly [number, number] => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return [view.getUint32(0), view.getUint32(4)]
}

/** Commits of `from` that `to` lacks. */
export const lacking = (to: Replica, from: Replica): string[] => from.order.filter((id) => !to.has(id))

/** Of what is lacked, the commits that are held back here, by themselves or by what they build on. */
export const heldBack = (at: Replica, ids: readonly string[]): ReadonlySet<string> => {
  const back = new Set<string>()
  for (const id of ids) {
    const commit = universe.get(id)
    const below = [commit?.previous, ...(commit?.parents ?? [])]
    if (at.held.has(id) || below.some((parent) => parent !== undefined && back.has(parent))) back.add(id)
  }
  return back
}
